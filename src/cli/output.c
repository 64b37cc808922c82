#include "cli/output.h"
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int
terminal_width(void)
{
    struct winsize size;

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void
print_table(const CliCall *call, JsonArray *rows, const char *const *columns,
            const ApiColumn *described)
{
    CliTable table = { .columns = columns,
                       .described = described,
                       .header = call->header,
                       .border = call->border,
                       .human = call->human,
                       .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                       .width = terminal_width() };
    g_autofree char *text = cli_table_text(&table, rows);

    fputs(text, stdout);
}

int
cli_show_table(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;

    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        if (!JSON_NODE_HOLDS_OBJECT(json_array_get_element(rows, i))) {
            return cli_show_plain(call, answer);
        }
    }
    if (rows == NULL) {
        return cli_show_plain(call, answer);
    }
    print_table(call, rows, call->command != NULL ? call->command->columns : NULL,
                call->command != NULL ? call->command->method->columns : NULL);
    return 0;
}

static const char *
renderer_of(const CliCall *call, const char *name)
{
    const ApiColumn *column = call->command != NULL ? call->command->method->columns : NULL;

    for (; column != NULL && column->name != NULL; column++) {
        if (strcmp(column->name, name) == 0) {
            return column->renderer;
        }
    }
    return NULL;
}

int
cli_show_object(const CliCall *call, JsonNode *answer)
{
    static const char *const columns[] = { "key", "value", NULL };
    g_autoptr(JsonArray) rows = json_array_new();

    if (!JSON_NODE_HOLDS_OBJECT(answer)) {
        return cli_show_plain(call, answer);
    }
    JsonObject *object = json_node_get_object(answer);
    g_autoptr(GList) members = json_object_get_members(object);
    for (GList *item = members; item != NULL; item = item->next) {
        JsonObject *row = json_object_new();
        g_autofree char *text = cli_render(json_object_get_member(object, item->data),
                                           renderer_of(call, item->data), call->human);
        json_object_set_string_member(row, "key", item->data);
        json_object_set_string_member(row, "value", text);
        json_array_add_object_element(rows, row);
    }
    print_table(call, rows, columns, NULL);
    return 0;
}

int
cli_show_plain(const CliCall *call, JsonNode *answer)
{
    if (JSON_NODE_HOLDS_ARRAY(answer)) {
        JsonArray *array = json_node_get_array(answer);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            g_autofree char *text = cli_render(json_array_get_element(array, i), NULL, call->human);
            printf("%s\n", text);
        }
    } else if (JSON_NODE_HOLDS_OBJECT(answer)) {
        JsonObject *object = json_node_get_object(answer);
        GList *members = g_list_sort(json_object_get_members(object), (GCompareFunc)strcmp);
        for (GList *item = members; item != NULL; item = item->next) {
            g_autofree char *text = cli_render(json_object_get_member(object, item->data),
                                               renderer_of(call, item->data), call->human);
            printf("%s: %s\n", (const char *)item->data, text);
        }
        g_list_free(members);
    } else if (!JSON_NODE_HOLDS_NULL(answer)) {
        g_autofree char *text = cli_render(answer, NULL, call->human);
        if (*text != '\0') {
            printf("%s\n", text);
        }
    }
    return 0;
}

int
cli_show_nothing(const CliCall *call, JsonNode *answer)
{
    return 0;
}

static int
show_by_kind(const CliCall *call, JsonNode *answer)
{
    if (JSON_NODE_HOLDS_ARRAY(answer)) {
        return cli_show_table(call, answer);
    }
    if (JSON_NODE_HOLDS_OBJECT(answer)) {
        return cli_show_object(call, answer);
    }
    return cli_show_plain(call, answer);
}

static int
print_json(JsonNode *answer, QJsonStyle style)
{
    g_autofree char *text = q_json_text(answer, style);

    printf("%s\n", text);
    return 0;
}

int
cli_output(const CliCall *call, JsonNode *answer)
{
    bool is_task = call->command != NULL && call->command->method->returns == API_UPID;

    if (is_task) {
        int status = cli_follow_task(call, answer);
        if (strcmp(call->format, "text") == 0 || status != 0) {
            return status;
        }
    }
    if (call->quiet || JSON_NODE_HOLDS_NULL(answer)) {
        return 0;
    }
    if (strcmp(call->format, "json") == 0) {
        return print_json(answer, Q_JSON_COMPACT);
    }
    if (strcmp(call->format, "json-pretty") == 0) {
        return print_json(answer, Q_JSON_PRETTY);
    }
    if (strcmp(call->format, "yaml") == 0) {
        g_autofree char *text = cli_yaml_text(answer);
        fputs(text, stdout);
        return 0;
    }
    return call->command != NULL && call->command->show != NULL ? call->command->show(call, answer)
                                                                : show_by_kind(call, answer);
}

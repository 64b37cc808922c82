#include "ha/core/fence.h"
#include <string.h>

typedef struct {
    char *node;
    char **arguments;
} Connection;

typedef struct {
    char *name;  /* "NAME:SUB" */
    char *group; /* NAME */
    char *agent;
    char **arguments;
    GPtrArray *connections;
} Device;

struct HaFenceConfig {
    GPtrArray *devices; /* Device, in the order of the file */
    GPtrArray *groups;  /* NAME, in that order */
    GPtrArray *problems;
};

static void
connection_free(gpointer data)
{
    Connection *connection = data;

    g_free(connection->node);
    g_strfreev(connection->arguments);
    g_free(connection);
}

static void
device_free(gpointer data)
{
    Device *device = data;

    g_free(device->name);
    g_free(device->group);
    g_free(device->agent);
    g_strfreev(device->arguments);
    g_ptr_array_unref(device->connections);
    g_free(device);
}

static void
problem_free(gpointer data)
{
    HaFenceProblem *problem = data;

    g_free(problem->name);
    g_free(problem);
}

static void
add_problem(HaFenceConfig *config, int line, const char *name, const char *reason)
{
    HaFenceProblem *problem = g_new0(HaFenceProblem, 1);

    *problem = (HaFenceProblem){ line, g_strdup(name), reason };
    g_ptr_array_add(config->problems, problem);
}

static Device *
find_device(const HaFenceConfig *config, const char *name)
{
    for (guint i = 0; i < config->devices->len; i++) {
        Device *device = config->devices->pdata[i];
        if (g_str_equal(device->name, name))
            return device;
    }
    return NULL;
}

static char *
full_name(const char *word)
{
    return strchr(word, ':') != NULL ? g_strdup(word) : g_strdup_printf("%s:1", word);
}

static void
parse_device(HaFenceConfig *config, int line, char **words)
{
    g_autofree char *name = full_name(words[1]);

    if (words[2] == NULL) {
        add_problem(config, line, words[1], "syntax");
        return;
    }
    if (find_device(config, name) != NULL) {
        add_problem(config, line, name, "device-declared-twice");
        return;
    }
    Device *device = g_new0(Device, 1);
    device->group = g_strndup(name, strcspn(name, ":"));
    device->name = g_steal_pointer(&name);
    device->agent = g_strdup(words[2]);
    device->arguments = g_strdupv(words + 3);
    device->connections = g_ptr_array_new_with_free_func(connection_free);
    g_ptr_array_add(config->devices, device);
    if (!g_ptr_array_find_with_equal_func(config->groups, device->group, g_str_equal, NULL))
        g_ptr_array_add(config->groups, device->group);
}

static const Connection *
find_connection(const Device *device, const char *node)
{
    for (guint i = 0; i < device->connections->len; i++) {
        const Connection *connection = device->connections->pdata[i];
        if (g_str_equal(connection->node, node))
            return connection;
    }
    return NULL;
}

static void
parse_connect(HaFenceConfig *config, int line, char **words)
{
    g_autofree char *name = full_name(words[1]);
    Device *device = find_device(config, name);

    if (words[2] == NULL || !g_str_has_prefix(words[2], "node=")) {
        add_problem(config, line, words[1], "syntax");
        return;
    }
    if (device == NULL) {
        add_problem(config, line, words[1], "device-not-declared");
        return;
    }
    const char *node = words[2] + strlen("node=");
    if (find_connection(device, node) != NULL) {
        add_problem(config, line, node, "node-connected-twice");
        return;
    }
    Connection *connection = g_new0(Connection, 1);
    connection->node = g_strdup(node);
    connection->arguments = g_strdupv(words + 3);
    g_ptr_array_add(device->connections, connection);
}

HaFenceConfig *
ha_fence_parse(const char *text)
{
    HaFenceConfig *config = g_new0(HaFenceConfig, 1);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    config->devices = g_ptr_array_new_with_free_func(device_free);
    config->groups = g_ptr_array_new();
    config->problems = g_ptr_array_new_with_free_func(problem_free);
    for (int i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) words = NULL;
        char *line = g_strstrip(lines[i]);
        if (*line == '\0' || *line == '#')
            continue;
        if (!g_shell_parse_argv(line, NULL, &words, NULL) || words[1] == NULL)
            add_problem(config, i + 1, line, "syntax");
        else if (g_str_equal(words[0], "device"))
            parse_device(config, i + 1, words);
        else if (g_str_equal(words[0], "connect"))
            parse_connect(config, i + 1, words);
        else
            add_problem(config, i + 1, words[0], "syntax");
    }
    return config;
}

void
ha_fence_free(HaFenceConfig *config)
{
    if (config == NULL)
        return;
    g_ptr_array_unref(config->devices);
    g_ptr_array_unref(config->groups);
    g_ptr_array_unref(config->problems);
    g_free(config);
}

GPtrArray *
ha_fence_problems(const HaFenceConfig *config)
{
    return config->problems;
}

static void
append_quoted(GString *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_!%+,-./:=@^";

    if (*word != '\0' && strspn(word, plain) == strlen(word)) {
        g_string_append(line, word);
        return;
    }
    g_auto(GStrv) parts = g_strsplit(word, "'", -1);
    g_autofree char *inner = g_strjoinv("'\\''", parts);
    g_string_append_printf(line, "'%s'", inner);
}

/* "k=v" becomes --k=v, or -k v for one letter; a bare word --word or -w. */
static void
append_arguments(GString *line, char **arguments)
{
    for (char **argument = arguments; *argument != NULL; argument++) {
        const char *equals = strchr(*argument, '=');
        size_t length = equals != NULL ? (size_t)(equals - *argument) : strlen(*argument);
        g_string_append_printf(line, " %s%.*s", length == 1 ? "-" : "--", (int)length, *argument);
        if (equals == NULL)
            continue;
        g_string_append_c(line, length == 1 ? ' ' : '=');
        append_quoted(line, equals + 1);
    }
}

static bool
group_knows(const HaFenceConfig *config, const char *group, const char *node)
{
    for (guint i = 0; i < config->devices->len; i++) {
        const Device *device = config->devices->pdata[i];
        if (g_str_equal(device->group, group) && find_connection(device, node) != NULL)
            return true;
    }
    return false;
}

GPtrArray *
ha_fence_commands(const HaFenceConfig *config, const char *node, guint try)
{
    GPtrArray *commands = g_ptr_array_new_with_free_func(g_free);
    const char *group = NULL;

    for (guint i = 0, known = 0; i < config->groups->len && group == NULL; i++) {
        if (group_knows(config, config->groups->pdata[i], node) && known++ == try)
            group = config->groups->pdata[i];
    }
    for (guint i = 0; group != NULL && i < config->devices->len; i++) {
        const Device *device = config->devices->pdata[i];
        const Connection *connection = find_connection(device, node);
        if (!g_str_equal(device->group, group) || connection == NULL)
            continue;
        GString *line = g_string_new(device->agent);
        append_arguments(line, device->arguments);
        append_arguments(line, connection->arguments);
        g_ptr_array_add(commands, g_string_free(line, FALSE));
    }
    return commands;
}

guint
ha_fence_tries(const HaFenceConfig *config)
{
    return config->groups->len;
}

#include "cli/docs.h"
#include <stdio.h>
#include <string.h>
#include "api/call.h"
#include "api/methods.h"
#include "base/sorted.h"
#include "cli/commands.h"
#include "cli/help.h"

static const char *const generated =
    "<!-- Made by `quorate docs`; change the tables in src instead. -->\n";

/* In a table of Markdown a bar ends the cell. */
static char *
cell(const char *text)
{
    GString *out = g_string_new(NULL);

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|' || *p == '<' || *p == '*' || *p == '_' || *p == '[') {
            g_string_append_c(out, '\\');
        }
        g_string_append_c(out, *p == '\n' ? ' ' : *p);
    }
    return g_string_free(out, FALSE);
}

static void
put_param(GString *out, const ApiParam *param)
{
    const char *name = api_param_name(param);
    bool family = param->kind == API_FAMILY && strchr(name, '[') == NULL;
    g_autofree char *raw_type = cli_param_type(param);
    g_autofree char *type = cell(raw_type);
    g_autofree char *doc = cell(param->doc != NULL ? param->doc : "");
    bool optional = param->optional || param->def != NULL || param->kind == API_FAMILY;

    g_string_append_printf(out, "| `%s%s`%s | %s | %s%s%s | %s |\n", name, family ? "[n]" : "",
                           optional ? "" : " (needed)", type, param->def != NULL ? "`" : "",
                           param->def != NULL ? param->def : "", param->def != NULL ? "`" : "",
                           doc);
}

static void
put_params(GString *out, const ApiMethod *method)
{
    bool any = false;

    for (const ApiParam *param = method->params; param != NULL && param->field != NULL; param++) {
        if (!any) {
            g_string_append(out, "\n| parameter | type | default | |\n|---|---|---|---|\n");
            any = true;
        }
        for (size_t n = 0; param->kind == API_SPLICE; n++) {
            ApiParam row = { 0 };
            if (!param->splice->describe(n, &row)) {
                break;
            }
            put_param(out, &row);
        }
        if (param->kind != API_SPLICE) {
            put_param(out, param);
        }
    }
}

static void
put_answer(GString *out, const ApiMethod *method)
{
    g_string_append_printf(out, "\nAnswer: %s.\n",
                           method->returns == API_UPID   ? "UPID of a task"
                           : method->returns == API_ROWS ? "list of objects"
                                                         : api_kind_name(method->returns));
    for (const ApiColumn *column = method->columns; column != NULL && column->name != NULL;
         column++) {
        g_autofree char *doc = cell(column->doc != NULL ? column->doc : "");
        g_string_append_printf(
            out, "%s`%s` (%s%s): %s\n", column == method->columns ? "\n- " : "- ", column->name,
            api_kind_name(column->kind), column->optional ? ", if known" : "", doc);
    }
}

static int
by_path(gconstpointer a, gconstpointer b)
{
    const ApiMethod *left = *(const ApiMethod *const *)a, *right = *(const ApiMethod *const *)b;
    int order = g_strcmp0(left->path, right->path);

    return order != 0 ? order : (int)left->verb - (int)right->verb;
}

static char *
api_page(void)
{
    g_autoptr(GPtrArray) methods = g_ptr_array_new();
    GString *out = g_string_new(generated);
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        if (method->path != NULL) {
            g_ptr_array_add(methods, (gpointer)method);
        }
    }
    g_ptr_array_sort(methods, by_path);
    g_string_append(out, "# API\n\nAt `https://NODE:8006/api2/json`, and by `pvesh` on a node.\n");
    for (guint i = 0; i < methods->len; i++) {
        method = methods->pdata[i];
        g_string_append_printf(out, "\n## %s %s\n\n%s\n", api_verb_name(method->verb), method->path,
                               method->doc);
        g_string_append_printf(out, "\nWho may: `%s`.%s%s\n", method->access,
                               method->no_token ? " Not with an API token." : "",
                               method->on_node != NULL ? " Runs on the node that is named." : "");
        put_params(out, method);
        put_answer(out, method);
    }
    return g_string_free(out, FALSE);
}

static char *
program_page(const CliProgram *program)
{
    GString *out = g_string_new(generated);

    g_string_append_printf(out, "# %s\n\n%s\n", program->name, program->doc);
    for (const CliCommand *command = program->commands; command != NULL && command->name != NULL;
         command++) {
        if ((command->flags & CLI_HIDDEN) != 0) {
            continue;
        }
        g_autofree char *help = cli_help_command(program, command);
        g_string_append_printf(out, "\n## %s %s\n\n```\n%s\n```\n", program->name, command->name,
                               g_strchomp(help));
    }
    return g_string_free(out, FALSE);
}

static bool
write_page(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/%s.md", directory, name);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents(path, text, -1, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    return true;
}

int
cli_docs_main(const char *directory)
{
    g_autofree char *api = api_page();
    const CliProgram *program;
    bool ok = write_page(directory, "api", api);

    for (size_t n = 0; (program = cli_program_at(n)) != NULL; n++) {
        g_autofree char *page = program_page(program);
        ok = write_page(directory, program->name, page) && ok;
    }
    return ok ? 0 : 1;
}

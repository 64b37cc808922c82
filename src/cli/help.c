#include "cli/help.h"
#include <string.h>
#include "api/bind.h"

enum { TEXT_WIDTH = 78, INDENT = 13 };

bool
cli_is_fixed(const CliCommand *command, const char *name)
{
    for (const char *const *pair = command->fixed; pair != NULL && *pair != NULL; pair += 2) {
        if (strcmp(pair[0], name) == 0) {
            return true;
        }
    }
    return (command->flags & CLI_ON_THIS_NODE) != 0
           && g_strcmp0(command->method->on_node, name) == 0;
}

static char *
bare_word(const char *word)
{
    return g_strndup(word, strlen(word) - (g_str_has_suffix(word, "...") ? 3 : 0));
}

static bool
is_word(const char *const *words, const char *name)
{
    for (; words != NULL && *words != NULL; words++) {
        g_autofree char *bare = bare_word(*words);
        if (strcmp(bare, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool
param_optional(const ApiParam *param)
{
    return param->optional || param->def != NULL || param->kind == API_FAMILY;
}

char *
cli_param_type(const ApiParam *param)
{
    char min[G_ASCII_DTOSTR_BUF_SIZE], max[G_ASCII_DTOSTR_BUF_SIZE];

    if (param->doc_type != NULL) {
        return g_strdup(param->doc_type);
    }
    if (param->values != NULL) {
        g_autofree char *all = g_strjoinv(" | ", (char **)param->values);
        return g_strdup_printf("<%s>", all);
    }
    if (param->kind == API_VMID) {
        return g_strdup("<integer> (100 - 999999999)");
    }
    if ((param->has_min || param->has_max) && param->kind != API_FAMILY) {
        return g_strdup_printf(
            "<%s> (%s - %s)", api_kind_name(param->kind),
            param->has_min ? g_ascii_formatd(min, sizeof min, "%.10g", param->min) : "-N",
            param->has_max ? g_ascii_formatd(max, sizeof max, "%.10g", param->max) : "N");
    }
    return g_strdup_printf("<%s>", api_kind_name(param->kind));
}

static void
put_wrapped(GString *out, const char *text, int indent)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    int column = indent;

    g_string_append_printf(out, "%*s", indent, "");
    for (char **word = words; *word != NULL; word++) {
        int length = (int)g_utf8_strlen(*word, -1);
        if (column > indent && column + 1 + length > TEXT_WIDTH) {
            g_string_append_printf(out, "\n%*s", indent, "");
            column = indent;
        }
        g_string_append_printf(out, "%s%s", column > indent ? " " : "", *word);
        column += length + (column > indent);
    }
    g_string_append_c(out, '\n');
}

static void
put_param(GString *out, const ApiParam *param, bool word)
{
    g_autofree char *type = cli_param_type(param);
    const char *name = api_param_name(param);
    bool family = param->kind == API_FAMILY && strchr(name, '[') == NULL;
    g_autofree char *shown = g_strdup_printf(word ? "<%s>" : "--%s%s", name, family ? "[n]" : "");

    g_string_append_printf(out, "  %-10s %s", shown, type);
    if (param->def != NULL) {
        g_string_append_printf(out, "   (default=%s)", param->def);
    }
    g_string_append_c(out, '\n');
    put_wrapped(out, param->doc != NULL ? param->doc : "", INDENT);
    if (param->requires != NULL) {
        g_string_append_printf(out, "%*sNeeds --%s.\n", INDENT, "", param->requires);
    }
    g_string_append_c(out, '\n');
}

static void
put_params(GString *out, const ApiMethod *method, const char *const *words,
           const CliCommand *command, bool want_words)
{
    for (const ApiParam *param = method->params; param != NULL && param->field != NULL; param++) {
        const char *name = api_param_name(param);
        if ((command != NULL && cli_is_fixed(command, name))
            || is_word(words, name) != want_words) {
            continue;
        }
        if (param->kind != API_SPLICE) {
            put_param(out, param, want_words);
            continue;
        }
        for (size_t n = 0;; n++) {
            ApiParam row = { 0 };
            if (!param->splice->describe(n, &row)) {
                break;
            }
            put_param(out, &row, false);
        }
    }
}

char *
cli_help_params(const ApiMethod *method)
{
    GString *out = g_string_new(NULL);

    put_params(out, method, NULL, NULL, false);
    return g_string_free(out, FALSE);
}

char *
cli_usage_line(const CliProgram *program, const CliCommand *command)
{
    GString *line = g_string_new(NULL);
    bool options = false;

    g_string_append_printf(line, "%s %s", program->name, command->name);
    for (const char *const *word = command->words; word != NULL && *word != NULL; word++) {
        ApiParam param = { 0 };
        g_autofree char *bare = bare_word(*word);
        bool known = api_param_for(command->method->params, bare, &param);
        bool rest = g_str_has_suffix(*word, "...");
        g_string_append_printf(line, known && param_optional(&param) ? " [<%s>%s]" : " <%s>%s",
                               bare, rest ? "..." : "");
    }
    for (const ApiParam *param = command->method->params; param != NULL && param->field != NULL;
         param++) {
        const char *name = api_param_name(param);
        if (cli_is_fixed(command, name) || is_word(command->words, name)) {
            continue;
        }
        if (param->kind == API_SPLICE || param_optional(param)) {
            options = true;
        } else {
            g_string_append_printf(line, " --%s <%s>", name, api_kind_name(param->kind));
        }
    }
    if (options) {
        g_string_append(line, " [OPTIONS]");
    }
    return g_string_free(line, FALSE);
}

char *
cli_help_command(const CliProgram *program, const CliCommand *command)
{
    GString *out = g_string_new(NULL);
    g_autofree char *usage = cli_usage_line(program, command);

    g_string_append_printf(out, "USAGE: %s\n\n", usage);
    put_wrapped(out, command->method->doc, 2);
    g_string_append_c(out, '\n');
    put_params(out, command->method, command->words, command, true);
    put_params(out, command->method, command->words, command, false);
    return g_string_free(out, FALSE);
}

char *
cli_help_program(const CliProgram *program, bool verbose)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "USAGE: %s <COMMAND> [ARGS] [OPTIONS]\n\n", program->name);
    for (const CliCommand *command = program->commands; command->name != NULL; command++) {
        if ((command->flags & CLI_HIDDEN) != 0) {
            continue;
        }
        if (verbose) {
            g_autofree char *help = cli_help_command(program, command);
            g_string_append(out, help);
        } else {
            g_autofree char *usage = cli_usage_line(program, command);
            g_string_append_printf(out, "       %s\n", usage);
        }
    }
    if (!verbose) {
        g_string_append_printf(out, "\n       %s help [COMMAND...] [--verbose]\n", program->name);
    }
    return g_string_free(out, FALSE);
}

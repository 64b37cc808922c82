#include "cli/complete.h"
#include <stdio.h>
#include <string.h>
#include "api/bind.h"
#include "api/methods.h"
#include "base/sorted.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "sys/paths.h"

typedef struct {
    GPtrArray *found;
    const char *begin;
} Complete;

static void
offer(Complete *complete, const char *text)
{
    if (g_str_has_prefix(text, complete->begin)
        && !g_ptr_array_find_with_equal_func(complete->found, text, g_str_equal, NULL)) {
        g_ptr_array_add(complete->found, g_strdup(text));
    }
}

/* ------------------------------------------------------------------ values */

static void
offer_nodes(Complete *complete)
{
    g_autoptr(GDir) dir = g_dir_open(Q_PVE_DIR "/nodes", 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        offer(complete, name);
    }
}

static void
offer_guests(Complete *complete)
{
    g_autoptr(GDir) nodes = g_dir_open(Q_PVE_DIR "/nodes", 0, NULL);
    const char *node, *file;

    while (nodes != NULL && (node = g_dir_read_name(nodes)) != NULL) {
        g_autofree char *path = g_build_filename(Q_PVE_DIR "/nodes", node, "qemu-server", NULL);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        while (dir != NULL && (file = g_dir_read_name(dir)) != NULL) {
            if (g_str_has_suffix(file, ".conf")) {
                g_autofree char *vmid = g_strndup(file, strlen(file) - strlen(".conf"));
                offer(complete, vmid);
            }
        }
    }
}

/* Section heads of storage.cfg: "dir: local". */
static void
offer_storages(Complete *complete)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(Q_PVE_DIR "/storage.cfg", &text, NULL, NULL)) {
        offer(complete, "local");
        return;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        const char *colon = strchr(*line, ':');
        if (g_ascii_isalpha(**line) && colon != NULL) {
            g_autofree char *id = g_strstrip(g_strdup(colon + 1));
            offer(complete, id);
        }
    }
}

static void
offer_values(Complete *complete, const ApiParam *param)
{
    for (const char *const *value = param->values; value != NULL && *value != NULL; value++) {
        offer(complete, *value);
    }
    if (param->kind == API_NODE || g_strcmp0(param->format, "pve-node") == 0) {
        offer_nodes(complete);
    } else if (param->kind == API_VMID) {
        offer_guests(complete);
    } else if (param->kind == API_STORAGE) {
        offer_storages(complete);
    } else if (param->kind == API_BOOLEAN) {
        offer(complete, "0");
        offer(complete, "1");
    }
}

/* ------------------------------------------------------------------ commands and options */

static void
offer_words(Complete *complete, const CliProgram *program, const char *chosen)
{
    size_t skip = strlen(chosen);

    for (const CliCommand *command = program->commands; command->name != NULL; command++) {
        if ((command->flags & CLI_HIDDEN) == 0 && strncmp(command->name, chosen, skip) == 0) {
            const char *rest = command->name + skip;
            g_autofree char *word = g_strndup(rest, strcspn(rest, " "));
            offer(complete, word);
        }
    }
    if (skip == 0) {
        offer(complete, "help");
    }
}

static void
offer_option(Complete *complete, const ApiParam *param)
{
    const char *name = api_param_name(param);
    size_t length = strcspn(name, "[");

    g_autofree char *option = param->kind == API_FAMILY
                                  ? g_strdup_printf("--%.*s0", (int)length, name)
                                  : g_strdup_printf("--%s", name);
    offer(complete, option);
}

static void
offer_options(Complete *complete, const CliCommand *command)
{
    for (const ApiParam *param = command->method->params; param != NULL && param->field != NULL;
         param++) {
        const char *name = api_param_name(param);
        bool word = command->words != NULL && g_strv_contains(command->words, name);
        if (word || cli_is_fixed(command, name)) {
            continue;
        }
        if (param->kind != API_SPLICE) {
            offer_option(complete, param);
            continue;
        }
        for (size_t n = 0;; n++) {
            ApiParam row = { 0 };
            if (!param->splice->describe(n, &row)) {
                break;
            }
            offer_option(complete, &row);
        }
    }
    if (command->method->returns != API_NULL) {
        offer(complete, "--output-format");
    }
}

/* The word that stands at the cursor: the value of an option, or one by position. */
static void
offer_arguments(Complete *complete, const CliCommand *command, char **words, guint count)
{
    ApiParam param;
    guint position = 0;

    if (complete->begin[0] == '-') {
        offer_options(complete, command);
        return;
    }
    for (guint i = 0; i + 1 < count; i++) {
        bool option = words[i][0] == '-';
        const char *name = words[i] + strspn(words[i], "-");
        if (option && strchr(name, '=') == NULL) {
            bool known = api_param_for(command->method->params, name, &param);
            if (i + 2 == count && strcmp(name, "output-format") == 0 && !known) {
                offer(complete, "text");
                offer(complete, "json");
                offer(complete, "json-pretty");
                offer(complete, "yaml");
                return;
            }
            if (i + 2 == count && known && param.kind != API_BOOLEAN) {
                offer_values(complete, &param);
                return;
            }
            i += known && param.kind != API_BOOLEAN;
        } else if (!option) {
            position++;
        }
    }
    guint known = command->words != NULL ? g_strv_length((char **)command->words) : 0;
    if (position < known
        && api_param_for(command->method->params, command->words[position], &param)) {
        offer_values(complete, &param);
    }
}

/* ------------------------------------------------------------------ pvesh */

static void
offer_paths(Complete *complete)
{
    g_autoptr(GHashTable) next = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const ApiMethod *method;
    size_t length = strlen(complete->begin);

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        if (method->path != NULL && g_str_has_prefix(method->path, complete->begin)) {
            const char *rest = method->path + length + (method->path[length] == '/');
            size_t end = (size_t)(rest - method->path) + strcspn(rest, "/");
            g_autofree char *path = g_strndup(method->path, end);
            if (strchr(path, '{') == NULL) {
                g_hash_table_add(next, g_steal_pointer(&path));
            }
        }
    }
    g_autoptr(GPtrArray) sorted = q_sorted_keys(next);
    for (guint i = 0; i < sorted->len; i++) {
        offer(complete, sorted->pdata[i]);
    }
}

static void
offer_pvesh(Complete *complete, guint count)
{
    static const char *const verbs[] = { "create", "delete", "get", "help", "ls", "set", "usage" };

    if (count == 1) {
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
            offer(complete, verbs[i]);
        }
    } else if (count == 2) {
        offer_paths(complete);
    }
}

GPtrArray *
cli_complete(const CliProgram *program, char **words)
{
    guint count = g_strv_length(words);
    Complete complete = { .found = g_ptr_array_new_with_free_func(g_free),
                          .begin = count > 0 ? words[count - 1] : "" };
    int used;

    if (program->commands == NULL) {
        offer_pvesh(&complete, count);
        return complete.found;
    }
    g_autofree char **before = g_memdup2(words, (count + 1) * sizeof *words);
    if (count > 0) {
        before[count - 1] = NULL;
    }
    const CliCommand *command = cli_command_find(program, before, &used, NULL);
    if (command != NULL) {
        offer_arguments(&complete, command, words + used, count - used);
    } else if (count <= 1) {
        offer_words(&complete, program, "");
    } else if (count == 2) {
        g_autofree char *chosen = g_strconcat(words[0], " ", NULL);
        offer_words(&complete, program, chosen);
    }
    return complete.found;
}

int
cli_complete_main(void)
{
    const char *line = g_getenv("COMP_LINE"), *point = g_getenv("COMP_POINT");

    if (line == NULL || point == NULL) {
        fprintf(stderr, "bash calls this: complete -C 'quorate complete' qm\n");
        return 255;
    }
    size_t end = MIN(strlen(line), (size_t)g_ascii_strtoull(point, NULL, 10));
    g_autofree char *typed = g_strndup(line, end);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) parts = g_strsplit_set(typed, " \t", -1);
    for (char **part = parts; *part != NULL; part++) {
        if (**part != '\0' || part[1] == NULL) {
            g_strv_builder_add(builder, *part);
        }
    }
    g_auto(GStrv) words = g_strv_builder_end(builder);
    g_autofree char *name = g_path_get_basename(words[0] != NULL ? words[0] : "");
    char **rest = words[0] != NULL ? words + 1 : words;
    if (strcmp(name, "quorate") == 0 && rest[0] != NULL && rest[1] != NULL) {
        g_free(name);
        name = g_strdup(*rest++);
    }
    const CliProgram *program = cli_program_find(name);
    if (program == NULL) {
        return 0;
    }
    g_autoptr(GPtrArray) found = cli_complete(program, rest);
    for (guint i = 0; i < found->len; i++) {
        printf("%s\n", (const char *)found->pdata[i]);
    }
    return 0;
}

int
cli_completion_script(void)
{
    const CliProgram *program;

    printf("# bash completion: source <(quorate completion bash)\n");
    printf("complete -o default -C 'quorate complete' quorate");
    for (size_t n = 0; (program = cli_program_at(n)) != NULL; n++) {
        printf(" %s", program->name);
    }
    printf("\n");
    return 0;
}

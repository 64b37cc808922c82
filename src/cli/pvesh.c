#include "cli/pvesh.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "api/call.h"
#include "api/methods.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/session.h"

enum { EXIT_USAGE = 255, EXIT_FAILED = 1 };

static const struct {
    const char *word;
    ApiVerb verb;
    char flag; /* in `ls` */
} verbs[] = {
    { "get", API_GET, 'r' },
    { "set", API_PUT, 'w' },
    { "create", API_POST, 'c' },
    { "delete", API_DELETE, 'd' },
};

static int
usage(FILE *to)
{
    fprintf(
        to,
        "USAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n\n"
        "       pvesh get <path> [OPTIONS]\n"
        "       pvesh set <path> [OPTIONS]\n"
        "       pvesh create <path> [OPTIONS]\n"
        "       pvesh delete <path> [OPTIONS]\n"
        "       pvesh ls <path>\n"
        "       pvesh usage <path> [--verbose] [--returns] [--command <get|set|create|delete>]\n"
        "       pvesh help\n\n"
        "       --noproxy  do not ask another node\n"
        "       --nooutput print nothing\n");
    return to == stdout ? 0 : EXIT_USAGE;
}

static int
failed(const GError *error)
{
    int status = q_error_http_status(error);
    g_autofree char *text = api_error_text(error, false);

    fflush(stdout);
    if (status != 500) {
        fprintf(stderr, "%d ", status);
    }
    fputs(text, stderr);
    return q_error_exit_code(error);
}

/* ------------------------------------------------------------------ get, set, create, delete */

/* A task's name is the answer: it comes behind its log. */
static int
show_upid(const CliCall *call, JsonNode *answer)
{
    int status = cli_follow_task(call, answer);

    return status != 0 || call->quiet ? status : cli_show_plain(call, answer);
}

static int
show(const CliOptions *options, const ApiMethod *method, JsonNode *answer)
{
    bool is_task = method->returns == API_UPID;
    CliCommand command = { .name = "", .method = method };
    CliCall call = { .program = &cli_pvesh,
                     .command = &command,
                     .format = options->format,
                     .header = options->header,
                     .border = options->border,
                     .human = options->human,
                     .quiet = options->quiet,
                     .given = options->raw };

    if (options->nooutput) {
        call.quiet = true;
    }
    if (is_task && strcmp(options->format, "text") == 0) {
        return show_upid(&call, answer);
    }
    return cli_output(&call, answer);
}

static int
run_verb(size_t which, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) variables = json_object_new();
    CliOptions options = { 0 };

    if (argv[0] == NULL) {
        fprintf(stderr, "400 not enough arguments\n");
        return usage(stderr);
    }
    const ApiMethod *method = api_find(verbs[which].verb, argv[0], false, variables, NULL);
    if (method == NULL) {
        fprintf(stderr, "No '%s' handler defined for '%s'\n", verbs[which].word, argv[0]);
        return EXIT_FAILED;
    }
    CliGrammar grammar = { .method = method, .extra = true };
    if (!cli_options_parse(&grammar, argv + 1, &options, &error)) {
        fprintf(stderr, "400 %s\n", error->message);
        cli_options_clear(&options);
        return EXIT_USAGE;
    }
    ApiSession session = *cli_session();
    session.no_forward = options.noproxy;
    int status;
    if (api_find(verbs[which].verb, argv[0], false, options.raw, &error) == NULL) {
        status = failed(error);
    } else {
        g_autoptr(JsonNode) answer = api_call(&session, method, options.raw, NULL, &error);
        status = answer != NULL ? show(&options, method, answer) : failed(error);
    }
    cli_options_clear(&options);
    return status;
}

/* ------------------------------------------------------------------ ls */

/* "Dr-c-" of a path: has children, and what may be done with it. */
static char *
flags_of(const char *path)
{
    char flags[] = "-----";
    const ApiMethod *method;

    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autoptr(JsonObject) variables = json_object_new();
        method = api_find(verbs[i].verb, path, false, variables, NULL);
        if (method == NULL) {
            continue;
        }
        flags[i + 1] = verbs[i].flag;
        g_autofree char *below = g_strcmp0(method->path, "/") == 0
                                     ? g_strdup("/")
                                     : g_strconcat(method->path, "/", NULL);
        for (size_t n = 0; api_method_at(n) != NULL; n++) {
            const char *other = api_method_at(n)->path;
            if (other != NULL && g_str_has_prefix(other, below) && strcmp(other, below) != 0) {
                flags[0] = 'D';
            }
        }
    }
    return g_strdup(flags);
}

static void
print_child(const char *path, const char *name)
{
    g_autofree char *child = g_strdup_printf("%s/%s", path, name);
    g_autofree char *flags = flags_of(child);

    printf("%s        %s\n", flags, name);
}

/* The name of the variable one level below @pattern: "vmid"; NULL: there is none. */
static char *
variable_below(const char *pattern)
{
    g_autofree char *below =
        g_strcmp0(pattern, "/") == 0 ? g_strdup("/{") : g_strconcat(pattern, "/{", NULL);
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        if (method->path != NULL && g_str_has_prefix(method->path, below)) {
            const char *name = method->path + strlen(below);
            return g_strndup(name, strcspn(name, "}"));
        }
    }
    return NULL;
}

/* What a row of an index calls itself. */
static char *
row_name(JsonObject *row, const char *variable)
{
    const char *const keys[] = { variable, "subdir", "name", "id", "key" };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        JsonNode *value = keys[i] != NULL ? json_object_get_member(row, keys[i]) : NULL;
        if (value != NULL && JSON_NODE_HOLDS_VALUE(value)) {
            return cli_render(value, NULL, false);
        }
    }
    return NULL;
}

static int
run_ls(char **argv)
{
    const char *path = argv[0] != NULL ? argv[0] : "/";
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) raw = json_object_new();
    const ApiMethod *method = api_find(API_GET, path, false, raw, NULL);

    if (method == NULL) {
        fprintf(stderr, "No 'get' handler defined for '%s'\n", path);
        return EXIT_FAILED;
    }
    g_autoptr(JsonNode) answer = api_call(cli_session(), method, raw, NULL, &error);
    if (answer == NULL) {
        return failed(error);
    }
    g_autofree char *variable = variable_below(method->path);
    g_autofree char *bare = g_strdup(path);
    while (g_str_has_suffix(bare, "/")) {
        bare[strlen(bare) - 1] = '\0';
    }
    JsonArray *rows = JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);
        g_autofree char *name =
            JSON_NODE_HOLDS_OBJECT(row) ? row_name(json_node_get_object(row), variable) : NULL;
        if (name != NULL) {
            print_child(bare, name);
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ usage */

static void
print_usage(size_t which, const ApiMethod *method, const char *path, bool verbose, bool returns)
{
    printf("USAGE: pvesh %s %s [OPTIONS]\n", verbs[which].word, path);
    if (verbose) {
        g_autofree char *params = cli_help_params(method);
        printf("\n  %s\n\n%s", method->doc, params);
    }
    if (returns) {
        printf("\nReturns: %s\n", method->returns == API_UPID   ? "UPID of a task"
                                  : method->returns == API_ROWS ? "list of objects"
                                                                : api_kind_name(method->returns));
        for (const ApiColumn *column = method->columns; column != NULL && column->name != NULL;
             column++) {
            printf("  %s <%s>%s\n", column->name, api_kind_name(column->kind),
                   column->optional ? " (optional)" : "");
        }
    }
}

static int
run_usage(char **argv)
{
    bool verbose = false, returns = false, any = false;
    const char *path = NULL, *only = NULL;

    for (; *argv != NULL; argv++) {
        const char *word = *argv + (g_str_has_prefix(*argv, "--") ? 1 : 0);
        if (strcmp(word, "-verbose") == 0 || strcmp(word, "-v") == 0) {
            verbose = true;
        } else if (strcmp(word, "-returns") == 0) {
            returns = true;
        } else if (strcmp(word, "-command") == 0 && argv[1] != NULL) {
            only = *++argv;
        } else if (path == NULL && **argv != '-') {
            path = *argv;
        } else {
            return usage(stderr);
        }
    }
    if (path == NULL) {
        fprintf(stderr, "400 not enough arguments\n");
        return usage(stderr);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autoptr(JsonObject) variables = json_object_new();
        const ApiMethod *method = api_find(verbs[i].verb, path, false, variables, NULL);
        if (method != NULL && (only == NULL || strcmp(only, verbs[i].word) == 0)) {
            print_usage(i, method, path, verbose, returns);
            any = true;
        }
    }
    if (!any) {
        fprintf(stderr, "no such resource '%s'\n", path);
        return EXIT_FAILED;
    }
    return 0;
}

static int
pvesh_run(int argc, char **argv)
{
    static const char *const words[] = { "get", "set", "create", "delete", "ls", "usage", "help" };
    int found = -1, fits = 0;

    if (argc == 0) {
        fprintf(stderr, "ERROR: no command specified\n");
        return usage(stderr);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_str_has_prefix(words[i], argv[0])) {
            found = (int)i;
            fits++;
        }
    }
    if (fits != 1) {
        fprintf(stderr, "ERROR: unknown command '%s'\n", argv[0]);
        return usage(stderr);
    }
    if (strcmp(words[found], "help") == 0) {
        return usage(stdout);
    }
    if (strcmp(words[found], "usage") == 0) {
        return run_usage(argv + 1);
    }
    if (geteuid() != 0) {
        fprintf(stderr, "please run as root\n");
        return EXIT_FAILED;
    }
    return strcmp(words[found], "ls") == 0 ? run_ls(argv + 1) : run_verb((size_t)found, argv + 1);
}

const CliProgram cli_pvesh = {
    .name = "pvesh",
    .doc = "Every method of the API by its path, as root of this node.",
    .run = pvesh_run,
};

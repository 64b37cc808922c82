#include <string.h>
#include "api/bind.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"

typedef struct {
    uint32_t vmid;
    char *target, *node, *mode;
    char **list, **rest;
    bool online;
    int64_t count;
} Args;

static const ApiParam params[] = {
    API_PARAM(Args, node, API_NODE, .doc = "Node."),
    API_PARAM(Args, vmid, API_VMID, .doc = "Guest id."),
    API_PARAM(Args, target, API_NODE, .doc = "Where to."),
    API_PARAM(Args, mode, API_ENUM, .optional = true, .def = "fast", API_VALUES("fast", "slow"),
              .doc = "How."),
    API_PARAM(Args, list, API_LIST, .optional = true, .doc = "Several."),
    API_PARAM(Args, rest, API_LIST, .optional = true, .doc = "The rest."),
    API_PARAM(Args, online, API_BOOLEAN, .optional = true, .doc = "While it runs."),
    API_PARAM(Args, count, API_INTEGER, .optional = true, .doc = "How many."),
    { 0 },
};

static JsonNode *
never_run(ApiCall *call, const void *args, GError **error)
{
    g_assert_not_reached();
}

static const ApiMethod method = {
    .verb = API_POST,
    .path = "/x",
    .doc = "Move a guest.",
    .params = params,
    .access = "all",
    .on_node = "node",
    .returns = API_NULL,
    .run = never_run,
};

static const CliCommand commands[] = {
    { "list", &method },
    { "migrate", &method, CLI_WORDS("vmid", "target"), CLI_ON_THIS_NODE },
    { "monitor", &method, CLI_WORDS("vmid") },
    { "rules add", &method, CLI_WORDS("vmid", "rest...") },
    { "rules list", &method },
    { "secret", &method, .flags = CLI_HIDDEN },
    { 0 },
};

static const CliProgram program = { "qx", "Test.", commands };

/* ------------------------------------------------------------------ options */

static void
test_options(void)
{
    static const char *const aliases[] = { "old-count", "count", NULL };
    static const struct {
        const char *line, *json; /* NULL: refused */
    } cases[] = {
        { "100 node2", "{\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 node2 --online", "{\"online\":\"1\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "--online 100 node2", "{\"online\":\"1\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "--online 0 100 node2", "{\"online\":\"0\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 -online=off node2", "{\"online\":\"off\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 node2 --count -5", "{\"count\":\"-5\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 node2 --old-count=7", "{\"count\":\"7\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 node2 --count 1 --count 2",
          "{\"count\":\"2\",\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 node2 --list a --list b,c",
          "{\"list\":[\"a\",\"b,c\"],\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100 -- -node2", "{\"target\":\"-node2\",\"vmid\":\"100\"}" },
        { "100 --target node2", "{\"target\":\"node2\",\"vmid\":\"100\"}" },
        { "100", NULL },
        { "", NULL },
        { "100 node2 node3", NULL },
        { "100 node2 --nonsense 1", NULL },
        { "100 node2 --count", NULL },
        { "100 node2 --output-format xml", NULL },
        { "100 node2 --noproxy", NULL },
    };
    CliGrammar grammar = { .method = &method, .words = commands[1].words, .aliases = aliases };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv =
            *cases[i].line != '\0' ? g_strsplit(cases[i].line, " ", -1) : g_new0(char *, 1);
        CliOptions options;
        g_autoptr(GError) error = NULL;
        g_test_message("'%s'", cases[i].line);
        bool ok = cli_options_parse(&grammar, argv, &options, &error);
        g_assert_true(ok == (cases[i].json != NULL));
        if (ok) {
            g_autofree char *text = q_json_object_text(options.raw, Q_JSON_COMPACT);
            g_assert_cmpstr(text, ==, cases[i].json);
        } else {
            g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
        }
        cli_options_clear(&options);
    }
}

static void
test_engine_options(void)
{
    g_auto(GStrv) argv = g_strsplit("--output-format json-pretty --noheader --noborder 1 --quiet "
                                    "--human-readable 0 100 node2",
                                    " ", -1);
    CliGrammar grammar = { .method = &method, .words = commands[1].words };
    CliOptions options;

    g_assert_true(cli_options_parse(&grammar, argv, &options, NULL));
    g_assert_cmpstr(options.format, ==, "json-pretty");
    g_assert_false(options.header);
    g_assert_false(options.border);
    g_assert_false(options.human);
    g_assert_true(options.quiet);
    cli_options_clear(&options);
}

static void
test_rest(void)
{
    g_auto(GStrv) argv = g_strsplit("100 a b c", " ", -1);
    CliGrammar grammar = { .method = &method, .words = commands[3].words };
    CliOptions options;

    g_assert_true(cli_options_parse(&grammar, argv, &options, NULL));
    g_autofree char *text = q_json_object_text(options.raw, Q_JSON_COMPACT);
    g_assert_cmpstr(text, ==, "{\"rest\":[\"a\",\"b\",\"c\"],\"vmid\":\"100\"}");
    cli_options_clear(&options);
}

/* ------------------------------------------------------------------ commands */

static void
test_commands(void)
{
    static const struct {
        const char *line, *name, *message;
        int used;
    } cases[] = {
        { "migrate 100", "migrate", NULL, 1 },
        { "mig 100", "migrate", NULL, 1 },
        { "l", "list", NULL, 1 },
        { "rules add x", "rules add", NULL, 2 },
        { "ru li", "rules list", NULL, 2 },
        { "secret", "secret", NULL, 1 },
        { "secr", NULL, "unknown command 'secr'", 0 },
        { "m", NULL, "command 'm' is ambiguous: migrate, monitor", 0 },
        { "rules", NULL, "no command specified behind 'rules'", 0 },
        { "rules x", NULL, "unknown command 'rules x'", 0 },
        { "x", NULL, "unknown command 'x'", 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = g_strsplit(cases[i].line, " ", -1);
        g_autoptr(GError) error = NULL;
        int used = 0;
        g_test_message("'%s'", cases[i].line);
        const CliCommand *found = cli_command_find(&program, argv, &used, &error);
        g_assert_cmpstr(found != NULL ? found->name : NULL, ==, cases[i].name);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].message);
        g_assert_cmpint(used, ==, cases[i].used);
    }
}

static void
test_usage(void)
{
    static const char *const lines[] = {
        "qx list --node <string> --vmid <integer> --target <string> [OPTIONS]",
        "qx migrate <vmid> <target> [OPTIONS]",
        "qx monitor <vmid> --node <string> --target <string> [OPTIONS]",
        "qx rules add <vmid> [<rest>...] --node <string> --target <string> [OPTIONS]",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *line = cli_usage_line(&program, &commands[i]);
        g_assert_cmpstr(line, ==, lines[i]);
    }
    g_autofree char *help = cli_help_command(&program, &commands[1]);
    g_assert_nonnull(strstr(help, "<vmid>     <integer> (100 - 999999999)"));
    g_assert_nonnull(strstr(help, "--mode     <fast | slow>   (default=fast)"));
    g_assert_null(strstr(help, "--node"));
    g_autofree char *all = cli_help_program(&program, false);
    g_assert_null(strstr(all, "secret"));
}

static void
test_completion(void)
{
    static const struct {
        const char *line, *found;
    } cases[] = {
        { "", "list migrate monitor rules help" },
        { "mi", "migrate" },
        { "rules ", "add list" },
        { "rules a", "add" },
        { "migrate 100 n --o", "--online" },
        { "migrate 100 n --mode ", "fast slow" },
        { "migrate 100 n --mode s", "slow" },
        { "migrate 100 n --online ", "" },
        { "nonsense ", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].line, " ", -1);
        g_auto(GStrv) empty = g_strsplit(" ", " ", 1);
        *empty[0] = '\0';
        g_test_message("'%s'", cases[i].line);
        g_autoptr(GPtrArray) found = cli_complete(&program, *cases[i].line != '\0' ? words : empty);
        g_ptr_array_add(found, NULL);
        g_autofree char *text = g_strjoinv(" ", (char **)found->pdata);
        g_assert_cmpstr(text, ==, cases[i].found);
    }
}

/* ------------------------------------------------------------------ output */

static const ApiColumn columns[] = {
    { "votes", API_INTEGER, .doc = "Votes." },
    { "name", API_STRING, .doc = "Name." },
    { "comment", API_STRING, .optional = true, .doc = "Comment." },
    { "mem", API_INTEGER, .optional = true, .renderer = "bytes", .doc = "Memory." },
    { 0 },
};

static JsonArray *
rows(const char *json)
{
    g_autoptr(JsonNode) node = q_json_parse(json, -1, NULL);

    return json_node_dup_array(node);
}

static void
test_table(void)
{
    g_autoptr(JsonArray) nodes =
        rows("[{\"name\":\"n2\",\"votes\":1},{\"name\":\"n1\",\"votes\":10}]");
    CliTable table = {
        .described = columns, .header = true, .border = true, .human = true, .utf8 = true
    };
    g_autofree char *text = cli_table_text(&table, nodes);

    g_assert_cmpstr(text, ==,
                    "┌──────┬───────┐\n"
                    "│ name │ votes │\n"
                    "╞══════╪═══════╡\n"
                    "│ n1   │    10 │\n"
                    "├──────┼───────┤\n"
                    "│ n2   │     1 │\n"
                    "└──────┴───────┘\n");
    table.utf8 = false;
    table.width = 10;
    g_autofree char *ascii = cli_table_text(&table, nodes);
    g_assert_cmpstr(
        ascii, ==,
        "+------+--\n| name | v\n+======+==\n| n1   |  \n+------+--\n| n2   |  \n+------+--\n");
    table.border = table.header = false;
    table.width = 0;
    g_autofree char *bare = cli_table_text(&table, nodes);
    g_assert_cmpstr(bare, ==, "n1 10\nn2  1\n");
}

static void
test_table_columns(void)
{
    static const char *const own[] = { "mem", "name", NULL };
    g_autoptr(JsonArray) nodes =
        rows("[{\"name\":\"a\\nb\",\"votes\":1,\"mem\":1610612736,\"x\":[1]}]");
    CliTable table = {
        .columns = own, .described = columns, .border = false, .header = true, .human = true
    };
    g_autofree char *chosen = cli_table_text(&table, nodes);
    g_assert_cmpstr(chosen, ==, "     mem name\n1.50 GiB a\n         b\n");

    table.columns = NULL;
    table.human = false;
    g_autofree char *described = cli_table_text(&table, nodes);
    g_assert_cmpstr(described, ==,
                    "name votes        mem\na        1 1610612736\nb                    \n");
    table.described = NULL;
    g_autofree char *all = cli_table_text(&table, nodes);
    g_assert_true(g_str_has_prefix(all, "       mem name votes x\n"));
    g_autoptr(JsonArray) none = json_array_new();
    g_autofree char *empty = cli_table_text(&table, none);
    g_assert_cmpstr(empty, ==, "");
}

static void
test_render(void)
{
    static const struct {
        int64_t value;
        const char *renderer, *text;
    } cases[] = {
        { 0, "bytes", "0.00 B" },
        { 1073741824, "bytes", "1.00 GiB" },
        { 93784, "duration", "1d 2h 3m 4s" },
        { 0, "duration", "0s" },
        { 3600, "duration", "1h" },
        { 5, NULL, "5" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonNode) node = q_json_node_int(cases[i].value);
        g_autofree char *text = cli_render(node, cases[i].renderer, true);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    g_autoptr(JsonNode) share = json_node_init_double(json_node_alloc(), 0.1234);
    g_autofree char *percent = cli_render(share, "fraction_as_percentage", true);
    g_assert_cmpstr(percent, ==, "12.34%");
}

static void
test_yaml(void)
{
    g_autoptr(JsonNode) node = q_json_parse(
        "{\"b\":[1,\"1\",\"x y\",\"yes\",\"\"],\"a\":null,\"c\":{\"d\":1.5}}", -1, NULL);
    g_autofree char *text = cli_yaml_text(node);

    g_assert_cmpstr(text, ==, "---\na: ~\nb:\n- 1\n- '1'\n- x y\n- 'yes'\n- ''\nc:\n  d: 1.5\n");
}

/* ------------------------------------------------------------------ the real commands */

/* Words, fixed values and columns of every command's rows are parameters of its method. */
static void
test_rows(void)
{
    const CliProgram *real;

    for (size_t n = 0; (real = cli_program_at(n)) != NULL; n++) {
        g_assert_nonnull(real->doc);
        g_assert_true(cli_program_find(real->name) == real);
        for (const CliCommand *command = real->commands; command != NULL && command->name != NULL;
             command++) {
            ApiParam param;
            g_test_message("%s %s", real->name, command->name);
            g_assert_nonnull(command->method);
            for (const char *const *word = command->words; word != NULL && *word != NULL; word++) {
                g_autofree char *bare =
                    g_strndup(*word, strlen(*word) - (g_str_has_suffix(*word, "...") ? 3 : 0));
                g_assert_true(api_param_for(command->method->params, bare, &param));
            }
            for (const char *const *pair = command->fixed; pair != NULL && *pair != NULL;
                 pair += 2) {
                g_assert_true(api_param_for(command->method->params, pair[0], &param));
                g_assert_nonnull(pair[1]);
            }
            g_autofree char *help = cli_help_command(real, command);
            g_assert_cmpuint(strlen(help), >, 20);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/words-and-options", test_options);
    g_test_add_func("/options/engine", test_engine_options);
    g_test_add_func("/options/rest", test_rest);
    g_test_add_func("/command/find", test_commands);
    g_test_add_func("/help/usage", test_usage);
    g_test_add_func("/complete", test_completion);
    g_test_add_func("/table/draw", test_table);
    g_test_add_func("/table/columns", test_table_columns);
    g_test_add_func("/table/render", test_render);
    g_test_add_func("/yaml", test_yaml);
    g_test_add_func("/rows", test_rows);
    return g_test_run();
}

#include "cli/cli.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/docs.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/session.h"
#include "task/worker.h"

enum { EXIT_USAGE = 255 };

static int
complain(const CliProgram *program, const CliCommand *command, const GError *error)
{
    fflush(stdout);
    if (command == NULL) {
        g_autofree char *help = cli_help_program(program, false);
        fprintf(stderr, "ERROR: %s\n%s", error->message, help);
        return EXIT_USAGE;
    }
    g_autofree char *text = api_error_text(error, true);
    g_autofree char *usage = cli_usage_line(program, command);
    fputs(text, stderr);
    if (q_error_blames(error) != NULL) {
        fprintf(stderr, "%s\n", usage);
    }
    return q_error_exit_code(error);
}

static int
wrong_usage(const CliProgram *program, const CliCommand *command, const GError *error)
{
    g_autofree char *usage = cli_usage_line(program, command);

    fprintf(stderr, "400 %s\n%s\n", error->message, usage);
    return EXIT_USAGE;
}

static void
put_fixed(const CliCommand *command, JsonObject *raw)
{
    for (const char *const *pair = command->fixed; pair != NULL && *pair != NULL; pair += 2) {
        json_object_set_string_member(raw, pair[0], pair[1]);
    }
    if ((command->flags & CLI_ON_THIS_NODE) != 0 && command->method->on_node != NULL
        && !json_object_has_member(raw, command->method->on_node)) {
        json_object_set_string_member(raw, command->method->on_node, cli_session()->node);
    }
}

static int
run_command(const CliProgram *program, const CliCommand *command, char **argv)
{
    CliGrammar grammar = { .method = command->method,
                           .words = command->words,
                           .aliases = command->aliases };
    CliOptions options;
    g_autoptr(GError) error = NULL;
    int status;

    bool parsed = cli_options_parse(&grammar, argv, &options, &error);
    if (parsed && options.help) {
        g_autofree char *help = cli_help_command(program, command);
        fputs(help, stdout);
        status = 0;
    } else if (!parsed) {
        status = wrong_usage(program, command, error);
    } else if (geteuid() != 0 && (command->flags & CLI_ANY_USER) == 0) {
        fprintf(stderr, "please run as root\n");
        status = 1;
    } else {
        CliCall call = { .program = program,
                         .command = command,
                         .format = options.format,
                         .header = options.header,
                         .border = options.border,
                         .human = options.human,
                         .quiet = options.quiet,
                         .given = options.raw };
        put_fixed(command, options.raw);
        g_autoptr(JsonNode) answer =
            api_call(cli_session(), command->method, options.raw, NULL, &error);
        status = answer != NULL ? cli_output(&call, answer) : complain(program, command, error);
    }
    cli_options_clear(&options);
    return status;
}

/* help [COMMAND..] [--verbose] */
static int
run_help(const CliProgram *program, char **argv)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    bool verbose = false;
    int used;

    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, "--verbose") == 0 || strcmp(*argv, "-v") == 0) {
            verbose = true;
        } else {
            g_ptr_array_add(words, *argv);
        }
    }
    g_ptr_array_add(words, NULL);
    if (words->len == 1) {
        g_autofree char *help = cli_help_program(program, verbose);
        fputs(help, stdout);
        return 0;
    }
    const CliCommand *command = cli_command_find(program, (char **)words->pdata, &used, &error);
    if (command == NULL) {
        return complain(program, NULL, error);
    }
    g_autofree char *help = cli_help_command(program, command);
    fputs(help, stdout);
    return 0;
}

static int
run_program(const CliProgram *program, char **argv)
{
    g_autoptr(GError) error = NULL;
    int used;

    if (program->run != NULL) {
        return program->run((int)g_strv_length(argv), argv);
    }
    if (argv[0] != NULL
        && (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0
            || strcmp(argv[0], "-h") == 0)) {
        return run_help(program, argv + 1);
    }
    const CliCommand *command = cli_command_find(program, argv, &used, &error);
    return command != NULL ? run_command(program, command, argv + used)
                           : complain(program, NULL, error);
}

/* ------------------------------------------------------------------ quorate itself */

static void
list_programs(FILE *to)
{
    const CliProgram *program;

    fprintf(to, "USAGE: quorate <COMMAND> [ARGS] [OPTIONS]\n\n");
    for (size_t n = 0; (program = cli_program_at(n)) != NULL; n++) {
        fprintf(to, "       %-12s %s\n", program->name, program->doc);
    }
    fprintf(to, "\n       %-12s %s\n       %-12s %s\n       %-12s %s\n", "completion",
            "bash: a script that completes all of these", "docs",
            "DIRECTORY: writes the reference of commands and API", "version", "prints the version");
}

static int
run_task(char **argv)
{
    if (argv[0] != NULL && strcmp(argv[0], "new") == 0 && argv[1] == NULL) {
        return task_new_main();
    }
    if (argv[0] != NULL && strcmp(argv[0], "run") == 0 && argv[1] != NULL && argv[2] == NULL) {
        api_task_init(cli_host());
        return task_run_main(argv[1], api_task_run);
    }
    fprintf(stderr, "tasks are started by the daemons and commands, not by hand\n");
    return EXIT_USAGE;
}

static int
run_quorate(char **argv)
{
    const CliProgram *program = argv[0] != NULL ? cli_program_find(argv[0]) : NULL;

    if (program != NULL) {
        return run_program(program, argv + 1);
    }
    if (argv[0] == NULL) {
        fprintf(stderr, "ERROR: no command specified\n");
        list_programs(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "task") == 0) {
        return run_task(argv + 1);
    }
    if (strcmp(argv[0], "complete") == 0) {
        return cli_complete_main();
    }
    if (strcmp(argv[0], "completion") == 0 && g_strcmp0(argv[1], "bash") == 0) {
        return cli_completion_script();
    }
    if (strcmp(argv[0], "docs") == 0 && argv[1] != NULL && argv[2] == NULL) {
        return cli_docs_main(argv[1]);
    }
    if (strcmp(argv[0], "version") == 0 || strcmp(argv[0], "--version") == 0) {
        printf("quorate %s\n", QUORATE_VERSION);
        return 0;
    }
    if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0) {
        list_programs(stdout);
        return 0;
    }
    fprintf(stderr, "ERROR: unknown command '%s'\n", argv[0]);
    list_programs(stderr);
    return EXIT_USAGE;
}

int
cli_main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc > 0 ? argv[0] : "quorate");
    const CliProgram *program = cli_program_find(name);

    setlocale(LC_ALL, "");
    if (program != NULL) {
        return run_program(program, argv + 1);
    }
    if (strcmp(name, "quorate") == 0) {
        return run_quorate(argv + 1);
    }
    fprintf(stderr, "ERROR: '%s' is no command of ours\n", name);
    list_programs(stderr);
    return EXIT_USAGE;
}

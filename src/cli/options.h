#pragma once
#include "cli/cli.h"

/* What stands on a command line behind the command's name, as raw parameters of its method. */

typedef struct {
    const ApiMethod *method;
    const char *const *words;   /* as in CliCommand; NULL: none */
    const char *const *aliases; /* as in CliCommand */
    bool extra;                 /* --noproxy and --nooutput too (pvesh) */
} CliGrammar;

typedef struct {
    JsonObject *raw;    /* parameters of the method */
    const char *format; /* borrowed: "text", … */
    char *format_text;
    bool header, border, human, quiet;
    bool noproxy, nooutput;
    bool help;
} CliOptions;

/**
 * cli_options_parse:
 * @argv: %NULL-terminated, behind the command's name
 * @options: (out): clear with cli_options_clear() also on failure
 *
 * Errors: Q_ERROR_INVALID "not enough arguments", "too many arguments", "unable to parse option: …"
 */
bool cli_options_parse(const CliGrammar *grammar, char **argv, CliOptions *options, GError **error);
void cli_options_clear(CliOptions *options);

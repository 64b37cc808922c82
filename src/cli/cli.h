#pragma once
#include "api/method.h"

/*
 * Commands are rows over the method table: words, what is fixed, how the answer is shown. Options
 * are the method's parameters that are neither words nor fixed. A new command's file of rows: list
 * it in meson.build and its CliProgram in commands.c.
 */
typedef struct CliCall CliCall;

/** CliShow: prints @answer (never NULL) to standard output. Returns: the exit status, normally 0.
 *  Not called for --output-format other than text, which is done by the engine. */
typedef int (*CliShow)(const CliCall *call, JsonNode *answer);

typedef enum {
    CLI_ON_THIS_NODE = 1 << 0, /* the method's .on_node parameter is this node unless given */
    CLI_HIDDEN = 1 << 1,       /* not in help and completion */
    CLI_ANY_USER = 1 << 2,     /* does not need root */
} CliFlags;

typedef struct {
    const char *name; /* "migrate", "rules add": one word or two */
    const ApiMethod *method;
    const char *const *words; /* parameters that are given by position; the last may be "name...":
                                 takes the rest */
    unsigned flags;
    const char *const *fixed;   /* name, value, name, value, …: parameters with a fixed value */
    const char *const *aliases; /* old name, new name, …: options with two names */
    const char *const *columns; /* of the text table, in order; NULL: by the method's .columns */
    CliShow show;               /* NULL: by the kind of the answer (see README) */
} CliCommand;

#define CLI_WORDS(...)                                                                             \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define CLI_FIXED(...)                                                                             \
    .fixed = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define CLI_COLUMNS(...)                                                                           \
    .columns = (const char *const[])                                                               \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

typedef struct {
    const char *name;           /* "qm" */
    const char *doc;            /* one line */
    const CliCommand *commands; /* ends with { 0 }; in the order of the help */
    /** run: (nullable): a command with a grammar of its own (pvesh); @argv without the program.
     *  Returns: the exit status */
    int (*run)(int argc, char **argv);
} CliProgram;

struct CliCall {
    const CliProgram *program;
    const CliCommand *command;
    const char *format; /* "text", "json", "json-pretty", "yaml" */
    bool header;        /* not --noheader */
    bool border;        /* not --noborder */
    bool human;         /* --human-readable, on by default */
    bool quiet;         /* --quiet */
    JsonObject *given;  /* the parameters as given */
};

/* Printers for .show. All follow the options in @call. */
int cli_follow_task(
    const CliCall *call,
    JsonNode *upid); /* the default for API_UPID: log as it comes; 0, or 1 if the task failed */
int cli_show_table(const CliCall *call, JsonNode *rows); /* the default for API_ROWS */
int cli_show_object(const CliCall *call,
                    JsonNode *object); /* the default for API_OBJECT: a table of key and value */
int cli_show_plain(
    const CliCall *call,
    JsonNode *answer); /* a scalar or a list of them, a line each; "key: value" for objects */
int cli_show_nothing(const CliCall *call, JsonNode *answer);

/** cli_main: picks the program by @argv[0] (or by the first word of `quorate qm …`) and runs it.
 *  Returns: the exit status */
int cli_main(int argc, char **argv);

#pragma once
#include "cli/cli.h"

/** cli_output: prints @answer as the options in @call say; in text by @show, or by the kind of the
 *  answer. Returns: the exit status */
int cli_output(const CliCall *call, JsonNode *answer);

/** cli_table_text: (transfer full): a table; @width: cut lines to so many columns, 0: not. */
typedef struct {
    const char *const *columns; /* names, NULL-terminated; NULL: by @described, else all keys */
    const ApiColumn *described; /* (nullable) */
    bool header, border, human, utf8;
    int width;
} CliTable;
char *cli_table_text(const CliTable *table, JsonArray *rows);

/** cli_render: (transfer full): one value for people. */
char *cli_render(JsonNode *value, const char *renderer, bool human);

char *cli_yaml_text(JsonNode *node); /* (transfer full) */

#pragma once
#include "cli/cli.h"

/** cli_complete: (transfer full) (element-type utf8): what may stand for the last of @words, which
 *  may be "". @words: the program, then what was typed. */
GPtrArray *cli_complete(const CliProgram *program, char **words);

int cli_complete_main(void);     /* `quorate complete`, as bash's complete -C calls it */
int cli_completion_script(void); /* `quorate completion bash` */

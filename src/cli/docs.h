#pragma once

/** cli_docs_main: `quorate docs DIRECTORY`: writes api.md and one page per command, from the
 * tables. Returns: the exit status */
int cli_docs_main(const char *directory);

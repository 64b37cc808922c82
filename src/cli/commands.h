#pragma once
#include "cli/cli.h"

/** cli_program_at: the command number @n ("qm", "pvecm", …); NULL behind the last. */
const CliProgram *cli_program_at(size_t n);
const CliProgram *cli_program_find(const char *name);

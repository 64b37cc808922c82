#pragma once
#include "cli/cli.h"

/**
 * cli_command_find:
 * @argv: %NULL-terminated
 * @used: (out): words of @argv that name the command
 *
 * Each word may be a prefix that fits one command only.
 *
 * Returns: NULL with Q_ERROR_INVALID "no command specified", "unknown command 'x'" or "command 'x'
 *   is ambiguous: a, b"
 */
const CliCommand *cli_command_find(const CliProgram *program, char **argv, int *used,
                                   GError **error);

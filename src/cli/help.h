#pragma once
#include "cli/cli.h"

/** cli_usage_line: (transfer full): "qm migrate <vmid> <target> [OPTIONS]" */
char *cli_usage_line(const CliProgram *program, const CliCommand *command);

/** cli_help_command: (transfer full): usage, doc and every parameter. */
char *cli_help_command(const CliProgram *program, const CliCommand *command);

/** cli_help_program: (transfer full): the commands, a line each; @verbose: with their parameters.
 */
char *cli_help_program(const CliProgram *program, bool verbose);

/** cli_help_params: (transfer full): the parameters of a method as options, a paragraph each. */
char *cli_help_params(const ApiMethod *method);

/** cli_param_type: (transfer full): "<integer> (0 - N)", "<archive | active | all>". */
char *cli_param_type(const ApiParam *param);

/** cli_is_fixed: is parameter @name given by the command itself? */
bool cli_is_fixed(const CliCommand *command, const char *name);

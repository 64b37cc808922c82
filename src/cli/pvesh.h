#pragma once
#include "cli/cli.h"

/* Every method by its path. */
extern const CliProgram cli_pvesh;

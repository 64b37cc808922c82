#pragma once
#include "cli/cli.h"

extern const CliProgram cli_pvecm;

#pragma once
#include "api/call.h"

/** cli_session: who a command is: root@pam on this node. Valid for the process's life. */
const ApiSession *cli_session(void);

/** cli_host: what commands and task workers bring to the API. */
const ApiHost *cli_host(void);

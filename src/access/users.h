#pragma once
#include "access/core/user_cfg.h"

/** users_read: user.cfg as it stands now; without a file only root@pam exists. (transfer full) */
UserCfg *users_read(void);

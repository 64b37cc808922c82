#include "access/users.h"
#include "sys/file.h"
#include "sys/paths.h"

enum { USER_CFG_MAX_BYTES = 1024 * 1024 };

UserCfg *
users_read(void)
{
    g_autofree char *text = q_file_read(Q_PVE_DIR "/user.cfg", USER_CFG_MAX_BYTES, NULL, NULL);

    return user_cfg_parse(text != NULL ? text : "");
}

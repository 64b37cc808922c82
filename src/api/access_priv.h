#pragma once
#include "access/core/user_cfg.h"
#include "api/access.h"

/** access_change: reads user.cfg, lets @change work on it, writes it on condition that nobody else
 *  was faster; @change may be called again. */
typedef bool (*AccessChange)(ApiCall *call, UserCfg *cfg, const void *args, GError **error);
bool access_change(ApiCall *call, AccessChange change, const void *args, GError **error);

/** access_capabilities: (transfer full): what a user may anywhere, by area, for pages. */
JsonObject *access_capabilities(const UserCfg *cfg, const char *user);

/** access_paths: (transfer full) (element-type utf8): every path that may carry permissions. */
GPtrArray *access_paths(const UserCfg *cfg);

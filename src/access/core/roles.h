#pragma once
#include "base/error.h"

/* Privileges and the roles that are always there. */

/** access_privileges: (transfer full): every privilege that there is, in byte order. */
char **access_privileges(void);
bool access_is_privilege(const char *name);

/** access_builtin_roles: (transfer full): names, in byte order. */
char **access_builtin_roles(void);

/** access_builtin_role: Returns: (transfer full) (nullable): the privileges of a role that is
 * always there, %NULL-terminated, in byte order; empty for NoAccess; NULL: no such role */
char **access_builtin_role(const char *role);

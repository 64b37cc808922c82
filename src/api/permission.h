#pragma once
#include "access/core/user_cfg.h"

/*
 * Access expressions of method rows (method.h, .access): perm(PATH, P, …), any(PATH, P, …), all,
 * world, root, self(userid), realm(userid), group(P, …), modify(PATH), and(…), or(…), x?EXPRESSION,
 * a trailing "+".
 */

/** api_access_is_valid: syntax, privileges and nothing left over. @why (out) (transfer full). */
bool api_access_is_valid(const char *expression, char **why);

/** api_access_is_world: needs no login. */
bool api_access_is_world(const char *expression);

typedef struct {
    const UserCfg *cfg;
    const char *user;      /* a user or a token; NULL: nobody */
    GHashTable *arguments; /* name → text */
} ApiAsker;

/** api_access_check: Errors: Q_ERROR_DENIED "Permission check failed (PATH, PRIVILEGE)";
 *  Q_ERROR_UNAUTHENTICATED if it is nobody */
bool api_access_check(const char *expression, const ApiAsker *asker, GError **error);

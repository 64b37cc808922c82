#pragma once
#include "base/error.h"

/*
 * user.cfg as a value: who there is and who may what. Lines that are not understood are kept.
 * Subjects are users ("ada@pve"), tokens of users ("ada@pve!ci") and groups ("@ops" in ACL lines).
 */
#define ACCESS_ROOT "root@pam"

typedef struct {
    bool enabled;
    int64_t expires_s; /* 0: never */
    char *first, *last, *mail, *comment, *keys;
} AccessUser;

typedef struct {
    int64_t expires_s;
    bool separated; /* its own rights, at most its owner's; else the owner's */
    char *comment;
} AccessToken;

typedef struct {
    GHashTable *members; /* a set of users */
    char *comment;
} AccessGroup;

typedef struct {
    GHashTable *vms, *storages; /* sets of text */
    char *comment;
} AccessPool;

typedef struct {
    char *subject; /* "ada@pve", "ada@pve!ci", "@ops" */
    char *role;
    bool propagate;
} AccessEntry;

typedef struct {
    GHashTable *users;  /* id → AccessUser; root@pam is always there */
    GHashTable *tokens; /* "user@realm!id" → AccessToken */
    GHashTable *groups; /* name → AccessGroup */
    GHashTable *pools;  /* name → AccessPool */
    GHashTable *roles;  /* name → char ** of privileges; those of the file only */
    GHashTable *acl;    /* path → GPtrArray of AccessEntry */
    GPtrArray *strange; /* lines that are not understood */
} UserCfg;

UserCfg *user_cfg_parse(const char *text); /* never fails; (transfer full) */
char *user_cfg_text(const UserCfg *cfg);   /* (transfer full): the file, in its order */
void user_cfg_free(UserCfg *cfg);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UserCfg, user_cfg_free)

void access_entry_free(AccessEntry *entry);

bool access_user_is_valid(const char *user); /* "ada@pve": 3..64 characters */
bool access_realm_is_valid(const char *realm);
bool access_name_is_valid(const char *name);   /* of a group, a role, a part of a pool */
bool access_token_is_valid(const char *token); /* "ada@pve!ci" */

/** access_owner: (transfer full): "ada@pve" of "ada@pve!ci", or of itself. */
char *access_owner(const char *subject);

/** access_path: (transfer full): slashes collapsed, none at the end; NULL if it is no ACL path that
 *  exists (such can only be deleted). */
char *access_path(const char *path);

/**
 * access_check_user:
 * @subject: a user or a token
 *
 * Returns: false with Q_ERROR_UNAUTHENTICATED if it does not exist, is disabled or has expired
 */
bool access_check_user(const UserCfg *cfg, const char *subject, int64_t now_s, GError **error);

/**
 * access_roles_on:
 *
 * Returns: (transfer full): role → GINT_TO_POINTER(1 if it propagates): the roles of a user or
 * token on @path, before anything is made of NoAccess
 */
GHashTable *access_roles_on(const UserCfg *cfg, const char *subject, const char *path);

/** access_privileges_on: Returns: (transfer full): privilege → GINT_TO_POINTER(1 if it propagates)
 */
GHashTable *access_privileges_on(const UserCfg *cfg, const char *subject, const char *path);

/** access_holds: all of @privileges (%NULL-terminated) on @path, or one of them if @any. */
bool access_holds(const UserCfg *cfg, const char *subject, const char *path,
                  const char *const *privileges, bool any);

/** access_role: (transfer full) (nullable): the privileges of a role, of the file or always there.
 */
char **access_role(const UserCfg *cfg, const char *role);

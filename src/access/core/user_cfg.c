#include "access/core/user_cfg.h"
#include <string.h>
#include "access/core/roles.h"
#include "base/sorted.h"

enum { USER_MIN = 3, USER_MAX = 64, REALM_MAX = 32 };

/* ------------------------------------------------------------------ names */

static bool
only(const char *text, size_t length, const char *also)
{
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(text[i]) && strchr(also, text[i]) == NULL) {
            return false;
        }
    }
    return length > 0;
}

bool
access_realm_is_valid(const char *realm)
{
    size_t length = strlen(realm);

    return length >= 2 && length <= REALM_MAX && g_ascii_isalpha(realm[0])
           && only(realm, length, "._-");
}

bool
access_name_is_valid(const char *name)
{
    return only(name, strlen(name), "._-");
}

bool
access_user_is_valid(const char *user)
{
    const char *at = strrchr(user, '@');
    size_t length = strlen(user);

    if (at == NULL || at == user || length < USER_MIN || length > USER_MAX
        || !access_realm_is_valid(at + 1)) {
        return false;
    }
    for (const char *p = user; p < at; p++) {
        if (g_ascii_isspace(*p) || g_ascii_iscntrl(*p) || strchr(":/!", *p) != NULL) {
            return false;
        }
    }
    return true;
}

bool
access_token_is_valid(const char *token)
{
    const char *mark = strchr(token, '!');

    if (mark == NULL || !g_ascii_isalpha(mark[1]) || !only(mark + 1, strlen(mark + 1), "._-")) {
        return false;
    }
    g_autofree char *user = g_strndup(token, mark - token);
    return mark[2] != '\0' && access_user_is_valid(user);
}

char *
access_owner(const char *subject)
{
    return g_strndup(subject, strcspn(subject, "!"));
}

/* ------------------------------------------------------------------ ACL paths */

/* clang-format off */
static const struct {
    const char *head;
    guint least, most; /* parts behind it */
} paths[] = {
    { "",                  0, 0 }, { "access",            0, 0 }, { "access/groups",      0, 1 },
    { "access/realm",      0, 1 }, { "nodes",             0, 1 }, { "pool",               0, 3 },
    { "storage",           0, 1 }, { "vms",               0, 1 }, { "sdn",                0, 0 },
    { "sdn/zones",         0, 3 }, { "sdn/controllers",   0, 1 }, { "sdn/dns",            0, 1 },
    { "sdn/fabrics",       0, 1 }, { "sdn/ipams",         0, 1 }, { "sdn/prefix-lists",   0, 1 },
    { "sdn/route-maps",    0, 1 }, { "mapping",           0, 2 },
};
/* clang-format on */

static bool
path_exists(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        size_t length = strlen(paths[i].head);
        if (strncmp(path, paths[i].head, length) != 0) {
            continue;
        }
        const char *rest = path + length;
        if (*rest == '\0') {
            return true;
        }
        guint parts = 1;
        if (length == 0 || *rest != '/') {
            continue;
        }
        for (const char *p = rest + 1; *p != '\0'; p++) {
            parts += *p == '/';
        }
        if (parts >= paths[i].least && parts <= paths[i].most) {
            return true;
        }
    }
    return false;
}

static char *
collapse(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GString *clean = g_string_new(NULL);

    for (char **part = parts; *part != NULL; part++) {
        if (**part != '\0') {
            g_string_append_printf(clean, "/%s", *part);
        }
    }
    if (clean->len == 0) {
        g_string_append_c(clean, '/');
    }
    return g_string_free(clean, FALSE);
}

char *
access_path(const char *path)
{
    g_autofree char *clean = collapse(path);

    if (!only(clean, strlen(clean), "._/-") || !path_exists(clean + 1)) {
        return NULL;
    }
    return g_steal_pointer(&clean);
}

/* ------------------------------------------------------------------ evaluation */

bool
access_check_user(const UserCfg *cfg, const char *subject, int64_t now_s, GError **error)
{
    g_autofree char *owner = access_owner(subject);
    const AccessUser *user = g_hash_table_lookup(cfg->users, owner);
    bool is_token = strcmp(owner, subject) != 0;
    const AccessToken *token = is_token ? g_hash_table_lookup(cfg->tokens, subject) : NULL;

    if (user == NULL) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "no such user ('%s')", owner);
    }
    if (!user->enabled) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "user '%s' is disabled", owner);
    }
    if (user->expires_s != 0 && user->expires_s <= now_s) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "account '%s' has expired", owner);
    }
    if (is_token && token == NULL) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "no such token '%s'", subject);
    }
    if (token != NULL && token->expires_s != 0 && token->expires_s <= now_s) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "token '%s' has expired", subject);
    }
    return true;
}

static bool
in_group(const UserCfg *cfg, const char *group, const char *user)
{
    const AccessGroup *found = g_hash_table_lookup(cfg->groups, group);

    return found != NULL && g_hash_table_contains(found->members, user);
}

/* What the lines of one path give: to the subject itself, else to its groups. */
static GHashTable *
roles_of_level(const UserCfg *cfg, const char *subject, const char *path, bool last)
{
    GHashTable *own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const GPtrArray *entries = g_hash_table_lookup(cfg->acl, path);

    for (guint i = 0; entries != NULL && i < entries->len; i++) {
        const AccessEntry *entry = entries->pdata[i];
        gpointer spread = GINT_TO_POINTER(entry->propagate);
        if (!entry->propagate && !last) {
            continue;
        }
        if (strcmp(entry->subject, subject) == 0) {
            g_hash_table_insert(own, g_strdup(entry->role), spread);
        } else if (entry->subject[0] == '@' && strchr(subject, '!') == NULL
                   && in_group(cfg, entry->subject + 1, subject)) {
            bool before = GPOINTER_TO_INT(g_hash_table_lookup(groups, entry->role));
            g_hash_table_insert(groups, g_strdup(entry->role),
                                GINT_TO_POINTER(entry->propagate || before));
        }
    }
    if (g_hash_table_size(own) == 0 && g_hash_table_size(groups) > 0) {
        g_hash_table_unref(own);
        return g_steal_pointer(&groups);
    }
    return own;
}

/* From "/" down; a level that says something replaces what came from above. */
static GHashTable *
roles_by_levels(const UserCfg *cfg, const char *subject, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path + 1, "/", -1);
    bool is_root = path[1] == '\0';
    GHashTable *roles = roles_of_level(cfg, subject, "/", is_root);
    g_autoptr(GString) level = g_string_new(NULL);

    for (char **part = parts; !is_root && *part != NULL; part++) {
        g_string_append_printf(level, "/%s", *part);
        GHashTable *here = roles_of_level(cfg, subject, level->str, part[1] == NULL);
        if (g_hash_table_size(here) > 0) {
            g_hash_table_unref(roles);
            roles = here;
        } else {
            g_hash_table_unref(here);
        }
    }
    return roles;
}

static char *
pool_of(const UserCfg *cfg, const char *path)
{
    bool is_vm = g_str_has_prefix(path, "/vms/"), is_storage = g_str_has_prefix(path, "/storage/");
    const char *name = is_vm ? path + strlen("/vms/") : path + strlen("/storage/");

    if (!is_vm && !is_storage) {
        return NULL;
    }
    g_autoptr(GPtrArray) names = q_sorted_keys(cfg->pools);
    for (guint i = 0; i < names->len; i++) {
        const AccessPool *pool = g_hash_table_lookup(cfg->pools, names->pdata[i]);
        if (g_hash_table_contains(is_vm ? pool->vms : pool->storages, name)) {
            return g_strdup_printf("/pool/%s", (const char *)names->pdata[i]);
        }
    }
    return NULL;
}

GHashTable *
access_roles_on(const UserCfg *cfg, const char *subject, const char *raw)
{
    g_autofree char *path = collapse(raw);
    GHashTable *roles = roles_by_levels(cfg, subject, path);
    g_autofree char *pool = pool_of(cfg, path);

    if (pool == NULL || g_hash_table_contains(roles, "NoAccess")) {
        return roles;
    }
    g_autoptr(GHashTable) more = roles_by_levels(cfg, subject, pool);
    if (g_hash_table_contains(more, "NoAccess")) {
        g_hash_table_remove_all(roles);
        g_hash_table_insert(roles, g_strdup("NoAccess"), GINT_TO_POINTER(0));
        return roles;
    }
    g_autoptr(GPtrArray) names = q_sorted_keys(more);
    for (guint i = 0; i < names->len; i++) {
        if (!g_hash_table_contains(roles, names->pdata[i])) {
            g_hash_table_insert(roles, g_strdup(names->pdata[i]), GINT_TO_POINTER(0));
        }
    }
    return roles;
}

char **
access_role(const UserCfg *cfg, const char *role)
{
    char **own = g_hash_table_lookup(cfg->roles, role);

    return own != NULL ? g_strdupv(own) : access_builtin_role(role);
}

static void
add_all(GHashTable *privileges, char **names, int spread)
{
    for (char **name = names; name != NULL && *name != NULL; name++) {
        int before = GPOINTER_TO_INT(g_hash_table_lookup(privileges, *name));
        g_hash_table_insert(privileges, g_strdup(*name), GINT_TO_POINTER(spread | before));
    }
}

static GHashTable *
privileges_of_roles(const UserCfg *cfg, GHashTable *roles)
{
    GHashTable *privileges = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = q_sorted_keys(roles);

    if (g_hash_table_contains(roles, "NoAccess")) {
        return privileges;
    }
    for (guint i = 0; i < names->len; i++) {
        g_auto(GStrv) of_role = access_role(cfg, names->pdata[i]);
        add_all(privileges, of_role, GPOINTER_TO_INT(g_hash_table_lookup(roles, names->pdata[i])));
    }
    return privileges;
}

static GHashTable *
everything(void)
{
    GHashTable *privileges = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) all = access_privileges();

    add_all(privileges, all, 1);
    return privileges;
}

static GHashTable *
own_privileges(const UserCfg *cfg, const char *subject, const char *path)
{
    g_autoptr(GHashTable) roles = NULL;

    if (strcmp(subject, ACCESS_ROOT) == 0) {
        return everything();
    }
    roles = access_roles_on(cfg, subject, path);
    return privileges_of_roles(cfg, roles);
}

GHashTable *
access_privileges_on(const UserCfg *cfg, const char *subject, const char *path)
{
    g_autofree char *owner = access_owner(subject);
    const AccessToken *token = g_hash_table_lookup(cfg->tokens, subject);

    if (strcmp(owner, subject) == 0) {
        return own_privileges(cfg, subject, path);
    }
    if (token == NULL) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    GHashTable *of_owner = own_privileges(cfg, owner, path);
    if (!token->separated) {
        return of_owner;
    }
    /* Both must hold it; it propagates if both do. */
    GHashTable *privileges = own_privileges(cfg, subject, path);
    g_autoptr(GPtrArray) names = q_sorted_keys(privileges);
    for (guint i = 0; i < names->len; i++) {
        gpointer spread;
        if (!g_hash_table_lookup_extended(of_owner, names->pdata[i], NULL, &spread)) {
            g_hash_table_remove(privileges, names->pdata[i]);
        } else if (GPOINTER_TO_INT(spread) == 0) {
            g_hash_table_insert(privileges, g_strdup(names->pdata[i]), spread);
        }
    }
    g_hash_table_unref(of_owner);
    return privileges;
}

bool
access_holds(const UserCfg *cfg, const char *subject, const char *path,
             const char *const *privileges, bool any)
{
    g_autoptr(GHashTable) held = access_privileges_on(cfg, subject, path);

    for (size_t i = 0; privileges[i] != NULL; i++) {
        if (g_hash_table_contains(held, privileges[i]) == any) {
            return any;
        }
    }
    return !any;
}

#include <string.h>
#include "access/core/roles.h"
#include "access/core/user_cfg.h"
#include "base/sorted.h"

/* Reading and writing user.cfg: fields between colons, each line closed by one. */

enum { FIELDS_MAX = 9 };

static void
user_free(gpointer data)
{
    AccessUser *user = data;

    g_free(user->first);
    g_free(user->last);
    g_free(user->mail);
    g_free(user->comment);
    g_free(user->keys);
    g_free(user);
}

static void
token_free(gpointer data)
{
    AccessToken *token = data;

    g_free(token->comment);
    g_free(token);
}

static void
group_free(gpointer data)
{
    AccessGroup *group = data;

    g_hash_table_unref(group->members);
    g_free(group->comment);
    g_free(group);
}

static void
pool_free(gpointer data)
{
    AccessPool *pool = data;

    g_hash_table_unref(pool->vms);
    g_hash_table_unref(pool->storages);
    g_free(pool->comment);
    g_free(pool);
}

void
access_entry_free(AccessEntry *entry)
{
    g_free(entry->subject);
    g_free(entry->role);
    g_free(entry);
}

static GHashTable *
map_new(GDestroyNotify free_value)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
}

/* ------------------------------------------------------------------ texts */

static char *
unescape(const char *text)
{
    GString *plain = g_string_new(NULL);

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            int byte = g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2]);
            g_string_append_c(plain, byte != 0 ? byte : '?');
            p += 2;
        } else {
            g_string_append_c(plain, *p);
        }
    }
    return g_string_free(plain, FALSE);
}

static void
put_escaped(GString *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; p != NULL && *p != '\0'; p++) {
        if (*p < 0x20 || *p == ':' || *p == '%' || *p >= 0x7f) {
            g_string_append_printf(out, "%%%02X", *p);
        } else {
            g_string_append_c(out, *p);
        }
    }
    g_string_append_c(out, ':');
}

/* The set of words in a comma list. */
static GHashTable *
set_parse(const char *list)
{
    GHashTable *set = map_new(NULL);
    g_auto(GStrv) words = g_strsplit_set(list, ",; ", -1);

    for (char **word = words; *word != NULL; word++) {
        if (**word != '\0') {
            g_hash_table_add(set, g_strdup(*word));
        }
    }
    return set;
}

static void
put_set(GString *out, GHashTable *set)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(set);

    for (guint i = 0; i < names->len; i++) {
        g_string_append_printf(out, "%s%s", i > 0 ? "," : "", (const char *)names->pdata[i]);
    }
    g_string_append_c(out, ':');
}

/* ------------------------------------------------------------------ lines in */

static bool
parse_user(UserCfg *cfg, char **field)
{
    if (!access_user_is_valid(field[1])) {
        return false;
    }
    AccessUser *user = g_new0(AccessUser, 1);
    user->enabled = strcmp(field[2], "1") == 0;
    user->expires_s = g_ascii_strtoll(field[3], NULL, 10);
    user->first = unescape(field[4]);
    user->last = unescape(field[5]);
    user->mail = unescape(field[6]);
    user->comment = unescape(field[7]);
    user->keys = unescape(field[8]);
    g_hash_table_replace(cfg->users, g_strdup(field[1]), user);
    return true;
}

static bool
parse_token(UserCfg *cfg, char **field)
{
    if (!access_token_is_valid(field[1])) {
        return false;
    }
    AccessToken *token = g_new0(AccessToken, 1);
    token->expires_s = g_ascii_strtoll(field[2], NULL, 10);
    token->separated = strcmp(field[3], "0") != 0;
    token->comment = unescape(field[4]);
    g_hash_table_replace(cfg->tokens, g_strdup(field[1]), token);
    return true;
}

static bool
parse_group(UserCfg *cfg, char **field)
{
    if (!access_name_is_valid(field[1])) {
        return false;
    }
    AccessGroup *group = g_new0(AccessGroup, 1);
    group->members = set_parse(field[2]);
    group->comment = unescape(field[3]);
    g_hash_table_replace(cfg->groups, g_strdup(field[1]), group);
    return true;
}

static bool
parse_pool(UserCfg *cfg, char **field)
{
    AccessPool *pool = g_new0(AccessPool, 1);

    pool->comment = unescape(field[2]);
    pool->vms = set_parse(field[3]);
    pool->storages = set_parse(field[4]);
    g_hash_table_replace(cfg->pools, g_strdup(field[1]), pool);
    return true;
}

static bool
parse_role(UserCfg *cfg, char **field)
{
    g_autoptr(GHashTable) set = set_parse(field[2]);
    g_autoptr(GPtrArray) names = q_sorted_keys(set);
    g_autoptr(GStrvBuilder) known = g_strv_builder_new();

    if (!access_name_is_valid(field[1])) {
        return false;
    }
    for (guint i = 0; i < names->len; i++) {
        if (access_is_privilege(names->pdata[i])) {
            g_strv_builder_add(known, names->pdata[i]);
        }
    }
    g_hash_table_replace(cfg->roles, g_strdup(field[1]), g_strv_builder_end(known));
    return true;
}

static bool
parse_acl(UserCfg *cfg, char **field)
{
    g_autoptr(GHashTable) subject_set = set_parse(field[3]);
    g_autoptr(GHashTable) role_set = set_parse(field[4]);
    g_autoptr(GPtrArray) subjects = q_sorted_keys(subject_set);
    g_autoptr(GPtrArray) roles = q_sorted_keys(role_set);
    GPtrArray *entries = g_hash_table_lookup(cfg->acl, field[2]);

    if (field[2][0] != '/') {
        return false;
    }
    if (entries == NULL) {
        entries = g_ptr_array_new_with_free_func((GDestroyNotify)access_entry_free);
        g_hash_table_insert(cfg->acl, g_strdup(field[2]), entries);
    }
    for (guint s = 0; s < subjects->len; s++) {
        for (guint r = 0; r < roles->len; r++) {
            AccessEntry *entry = g_new0(AccessEntry, 1);
            entry->propagate = strcmp(field[1], "0") != 0;
            entry->subject = g_strdup(subjects->pdata[s]);
            entry->role = g_strdup(roles->pdata[r]);
            g_ptr_array_add(entries, entry);
        }
    }
    return true;
}

/* clang-format off */
static const struct {
    const char *kind;
    guint fields; /* with the kind */
    bool (*parse)(UserCfg *cfg, char **field);
} lines_known[] = {
    { "user", 9, parse_user }, { "token", 5, parse_token }, { "group", 4, parse_group },
    { "pool", 5, parse_pool }, { "role", 3, parse_role },   { "acl", 5, parse_acl },
};
/* clang-format on */

static bool
parse_line(UserCfg *cfg, const char *line)
{
    char *field[FIELDS_MAX + 1];
    g_auto(GStrv) parts = g_strsplit(line, ":", -1);
    guint count = g_strv_length(parts);
    char empty[] = "";

    for (guint i = 0; i <= FIELDS_MAX; i++) {
        field[i] = i < count ? parts[i] : empty; /* lines of older versions are shorter */
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lines_known); i++) {
        if (strcmp(field[0], lines_known[i].kind) == 0) {
            return count <= lines_known[i].fields + 1 && lines_known[i].parse(cfg, field);
        }
    }
    return false;
}

UserCfg *
user_cfg_parse(const char *text)
{
    UserCfg *cfg = g_new0(UserCfg, 1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    cfg->users = map_new(user_free);
    cfg->tokens = map_new(token_free);
    cfg->groups = map_new(group_free);
    cfg->pools = map_new(pool_free);
    cfg->roles = map_new((GDestroyNotify)g_strfreev);
    cfg->acl = map_new((GDestroyNotify)g_ptr_array_unref);
    cfg->strange = g_ptr_array_new_with_free_func(g_free);
    for (char **line = lines; *line != NULL; line++) {
        g_strstrip(*line);
        if (**line != '\0' && !parse_line(cfg, *line)) {
            g_ptr_array_add(cfg->strange, g_strdup(*line));
        }
    }
    if (!g_hash_table_contains(cfg->users, ACCESS_ROOT)) {
        static const char root_line[] = "user:" ACCESS_ROOT ":1:0::::::";
        parse_line(cfg, root_line);
    }
    return cfg;
}

void
user_cfg_free(UserCfg *cfg)
{
    if (cfg == NULL) {
        return;
    }
    g_hash_table_unref(cfg->users);
    g_hash_table_unref(cfg->tokens);
    g_hash_table_unref(cfg->groups);
    g_hash_table_unref(cfg->pools);
    g_hash_table_unref(cfg->roles);
    g_hash_table_unref(cfg->acl);
    g_ptr_array_unref(cfg->strange);
    g_free(cfg);
}

/* ------------------------------------------------------------------ lines out */

static void
put_users(GString *out, const UserCfg *cfg)
{
    g_autoptr(GPtrArray) users = q_sorted_keys(cfg->users);
    g_autoptr(GPtrArray) tokens = q_sorted_keys(cfg->tokens);

    for (guint i = 0; i < users->len; i++) {
        const char *id = users->pdata[i];
        const AccessUser *user = g_hash_table_lookup(cfg->users, id);
        g_string_append_printf(out, "user:%s:%d:%" G_GINT64_FORMAT ":", id, user->enabled,
                               user->expires_s);
        put_escaped(out, user->first);
        put_escaped(out, user->last);
        put_escaped(out, user->mail);
        put_escaped(out, user->comment);
        put_escaped(out, user->keys);
        g_string_append_c(out, '\n');
        for (guint t = 0; t < tokens->len; t++) {
            const AccessToken *token = g_hash_table_lookup(cfg->tokens, tokens->pdata[t]);
            g_autofree char *owner = access_owner(tokens->pdata[t]);
            if (strcmp(owner, id) != 0) {
                continue;
            }
            g_string_append_printf(
                out, "token:%s:%" G_GINT64_FORMAT ":%d:", (const char *)tokens->pdata[t],
                token->expires_s, token->separated);
            put_escaped(out, token->comment);
            g_string_append_c(out, '\n');
        }
    }
    g_string_append_c(out, '\n');
}

static void
put_groups(GString *out, const UserCfg *cfg)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(cfg->groups);

    for (guint i = 0; i < names->len; i++) {
        const AccessGroup *group = g_hash_table_lookup(cfg->groups, names->pdata[i]);
        g_string_append_printf(out, "group:%s:", (const char *)names->pdata[i]);
        put_set(out, group->members);
        put_escaped(out, group->comment);
        g_string_append_c(out, '\n');
    }
    g_string_append_c(out, '\n');
}

static void
put_pools(GString *out, const UserCfg *cfg)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(cfg->pools);

    for (guint i = 0; i < names->len; i++) {
        const AccessPool *pool = g_hash_table_lookup(cfg->pools, names->pdata[i]);
        g_string_append_printf(out, "pool:%s:", (const char *)names->pdata[i]);
        put_escaped(out, pool->comment);
        put_set(out, pool->vms);
        put_set(out, pool->storages);
        g_string_append_c(out, '\n');
    }
    g_string_append_c(out, '\n');
}

static void
put_roles(GString *out, const UserCfg *cfg)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(cfg->roles);

    for (guint i = 0; i < names->len; i++) {
        char **privileges = g_hash_table_lookup(cfg->roles, names->pdata[i]);
        g_autofree char *list = g_strjoinv(",", privileges);
        g_string_append_printf(out, "role:%s:%s:\n", (const char *)names->pdata[i], list);
    }
    g_string_append_c(out, '\n');
}

/* One line for each set of roles that subjects of one path share. */
static void
put_acl_path(GString *out, const char *path, const GPtrArray *entries, bool propagate)
{
    g_autoptr(GHashTable) by_subject = map_new((GDestroyNotify)g_hash_table_unref);
    g_autoptr(GHashTable) by_roles = map_new((GDestroyNotify)g_hash_table_unref);

    for (guint i = 0; i < entries->len; i++) {
        const AccessEntry *entry = entries->pdata[i];
        if (entry->propagate != propagate) {
            continue;
        }
        GHashTable *roles = g_hash_table_lookup(by_subject, entry->subject);
        if (roles == NULL) {
            roles = map_new(NULL);
            g_hash_table_insert(by_subject, g_strdup(entry->subject), roles);
        }
        g_hash_table_add(roles, g_strdup(entry->role));
    }
    g_autoptr(GPtrArray) subjects = q_sorted_keys(by_subject);
    for (guint i = 0; i < subjects->len; i++) {
        GString *key = g_string_new(NULL);
        put_set(key, g_hash_table_lookup(by_subject, subjects->pdata[i]));
        g_autofree char *roles = g_string_free(key, FALSE);
        GHashTable *sharing = g_hash_table_lookup(by_roles, roles);
        if (sharing == NULL) {
            sharing = map_new(NULL);
            g_hash_table_insert(by_roles, g_strdup(roles), sharing);
        }
        g_hash_table_add(sharing, g_strdup(subjects->pdata[i]));
    }
    g_autoptr(GPtrArray) keys = q_sorted_keys(by_roles);
    for (guint i = 0; i < keys->len; i++) {
        g_string_append_printf(out, "acl:%d:%s:", propagate, path);
        put_set(out, g_hash_table_lookup(by_roles, keys->pdata[i]));
        g_string_append_printf(out, "%s\n", (const char *)keys->pdata[i]);
    }
}

char *
user_cfg_text(const UserCfg *cfg)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GPtrArray) acl_paths = q_sorted_keys(cfg->acl);

    put_users(out, cfg);
    put_groups(out, cfg);
    put_pools(out, cfg);
    put_roles(out, cfg);
    for (guint i = 0; i < acl_paths->len; i++) {
        const GPtrArray *entries = g_hash_table_lookup(cfg->acl, acl_paths->pdata[i]);
        put_acl_path(out, acl_paths->pdata[i], entries, false);
        put_acl_path(out, acl_paths->pdata[i], entries, true);
    }
    for (guint i = 0; i < cfg->strange->len; i++) {
        g_string_append_printf(out, "%s\n", (const char *)cfg->strange->pdata[i]);
    }
    return g_string_free(out, FALSE);
}

#include <string.h>
#include "access/core/roles.h"
#include "access/users.h"
#include "api/access_priv.h"
#include "base/sorted.h"

/* Users, roles and ACL lines of user.cfg. */

typedef struct {
    ApiCall *call;
    AccessChange change;
    const void *args;
} Change;

static char *
change_text(const char *text, gpointer data, GError **error)
{
    Change *change = data;
    g_autoptr(UserCfg) cfg = user_cfg_parse(text);

    return change->change(change->call, cfg, change->args, error) ? user_cfg_text(cfg) : NULL;
}

bool
access_change(ApiCall *call, AccessChange change, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    Change data = { call, change, args };

    return cfs != NULL && cfs_modify(cfs, "user.cfg", change_text, &data, error);
}

static void
put_text(JsonObject *row, const char *name, const char *text)
{
    if (text != NULL && *text != '\0') {
        json_object_set_string_member(row, name, text);
    }
}

/* ------------------------------------------------------------------ users */

typedef struct {
    char *userid, *comment, *email, *firstname, *lastname, *keys, *password;
    char **groups;
    int64_t expire;
    bool enable, append, enabled, full;
} UserArgs;

#define PARAM_USER                                                                                 \
    API_PARAM(UserArgs, userid, API_STRING, .format = "pve-userid", .max_length = 64,              \
              .doc = "User with realm: name@pve.")
#define PARAMS_SETTINGS                                                                            \
    API_PARAM(UserArgs, comment, API_STRING, .optional = true, .max_length = 2048,                 \
              .doc = "For people."),                                                               \
        API_PARAM(UserArgs, email, API_STRING, .optional = true, .max_length = 254,                \
                  .format = "email-opt", .doc = "Mail address."),                                  \
        API_PARAM(UserArgs, enable, API_BOOLEAN, .optional = true, .def = "1",                     \
                  .doc = "May log in."),                                                           \
        API_PARAM(UserArgs, expire, API_INTEGER, .optional = true, API_MIN(0),                     \
                  .doc = "When the account ends, unix time; 0: never."),                           \
        API_PARAM(UserArgs, firstname, API_STRING, .optional = true, .max_length = 1024,           \
                  .doc = "First name."),                                                           \
        API_PARAM(UserArgs, groups, API_LIST, .optional = true, .format = "pve-groupid-list",      \
                  .doc = "Groups that the user is in."),                                           \
        API_PARAM(UserArgs, keys, API_STRING, .optional = true,                                    \
                  .pattern = "[0-9a-zA-Z!=]{0,4096}", .doc = "Keys of second factors, old form."), \
        API_PARAM(UserArgs, lastname, API_STRING, .optional = true, .max_length = 1024,            \
                  .doc = "Last name.")

/* clang-format off */
static const ApiColumn user_columns[] = {
    { "comment",   API_STRING,  .optional = true, .doc = "For people." },
    { "email",     API_STRING,  .optional = true, .doc = "Mail address." },
    { "enable",    API_BOOLEAN, .optional = true, .doc = "May log in." },
    { "expire",    API_INTEGER, .optional = true, .renderer = "timestamp", .doc = "When the account ends; 0: never." },
    { "firstname", API_STRING,  .optional = true, .doc = "First name." },
    { "keys",      API_STRING,  .optional = true, .doc = "Keys of second factors." },
    { "lastname",  API_STRING,  .optional = true, .doc = "Last name." },
    { "userid",    API_STRING,  .doc = "User with realm." },
    { 0 },
};
/* clang-format on */

static void
put_user(JsonObject *row, const AccessUser *user)
{
    json_object_set_int_member(row, "enable", user->enabled);
    json_object_set_int_member(row, "expire", user->expires_s);
    put_text(row, "comment", user->comment);
    put_text(row, "email", user->mail);
    put_text(row, "firstname", user->first);
    put_text(row, "lastname", user->last);
    put_text(row, "keys", user->keys);
}

static bool
may_see_user(ApiCall *call, const UserCfg *cfg, const char *userid)
{
    static const char *const any[] = { "User.Modify", "Sys.Audit", NULL };
    g_autofree char *owner = access_owner(call->user);
    g_autoptr(GPtrArray) groups = q_sorted_keys(cfg->groups);

    if (strcmp(owner, userid) == 0 || access_holds(cfg, call->user, "/access/groups", any, true)) {
        return true;
    }
    for (guint i = 0; i < groups->len; i++) {
        const AccessGroup *group = g_hash_table_lookup(cfg->groups, groups->pdata[i]);
        g_autofree char *path =
            g_strdup_printf("/access/groups/%s", (const char *)groups->pdata[i]);
        if (g_hash_table_contains(group->members, userid)
            && access_holds(cfg, call->user, path, any, true)) {
            return true;
        }
    }
    return false;
}

static JsonNode *
users_run(ApiCall *call, const void *data, GError **error)
{
    const UserArgs *args = data;
    g_autoptr(UserCfg) cfg = users_read();
    g_autoptr(GPtrArray) ids = q_sorted_keys(cfg->users);
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < ids->len; i++) {
        const AccessUser *user = g_hash_table_lookup(cfg->users, ids->pdata[i]);
        if (!may_see_user(call, cfg, ids->pdata[i])
            || (api_given(call, "enabled") && user->enabled != args->enabled)) {
            continue;
        }
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "userid", ids->pdata[i]);
        put_user(row, user);
        json_array_add_object_element(rows, row);
    }
    return q_json_node_array(rows);
}

static const ApiParam users_params[] = {
    API_PARAM(UserArgs, enabled, API_BOOLEAN, .optional = true,
              .doc = "Only those that may log in, or only those that may not."),
    API_PARAM(UserArgs, full, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "With groups and tokens."),
    { 0 },
};

const ApiMethod api_access_users = {
    .verb = API_GET,
    .path = "/access/users",
    .doc = "Users.",
    .params = users_params,
    .returns = API_ROWS,
    .columns = user_columns,
    .access = "all+",
    .as_root = true,
    .run = users_run,
};

static const ApiParam user_params[] = { PARAM_USER, { 0 } };

static JsonNode *
user_read_run(ApiCall *call, const void *data, GError **error)
{
    const UserArgs *args = data;
    g_autoptr(UserCfg) cfg = users_read();
    const AccessUser *user = g_hash_table_lookup(cfg->users, args->userid);
    g_autoptr(GPtrArray) groups = q_sorted_keys(cfg->groups);

    if (user == NULL) {
        api_status(error, Q_ERROR_NOT_FOUND, 500, "no such user ('%s')", args->userid);
        return NULL;
    }
    JsonObject *row = json_object_new();
    JsonArray *in = json_array_new();
    put_user(row, user);
    for (guint i = 0; i < groups->len; i++) {
        const AccessGroup *group = g_hash_table_lookup(cfg->groups, groups->pdata[i]);
        if (g_hash_table_contains(group->members, args->userid)) {
            json_array_add_string_element(in, groups->pdata[i]);
        }
    }
    json_object_set_array_member(row, "groups", in);
    return q_json_node_object(row);
}

static const ApiColumn user_read_columns[] = {
    { "enable", API_BOOLEAN, .optional = true, .doc = "May log in." },
    { "expire", API_INTEGER, .optional = true, .doc = "When the account ends; 0: never." },
    { "groups", API_STRINGS, .optional = true, .doc = "Groups that the user is in." },
    { 0 },
};

const ApiMethod api_access_user_read = {
    .verb = API_GET,
    .path = "/access/users/{userid}",
    .doc = "One user.",
    .params = user_params,
    .returns = API_OBJECT,
    .columns = user_read_columns,
    .access = "group(User.Modify, Sys.Audit)",
    .run = user_read_run,
};

static void
replace(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

static void
apply_settings(ApiCall *call, AccessUser *user, const UserArgs *args)
{
    const struct {
        const char *name;
        char **field;
        const char *value;
    } texts[] = {
        { "comment", &user->comment, args->comment },
        { "email", &user->mail, args->email },
        { "firstname", &user->first, args->firstname },
        { "lastname", &user->last, args->lastname },
        { "keys", &user->keys, args->keys },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (api_given(call, texts[i].name) || *texts[i].field == NULL) {
            replace(texts[i].field, texts[i].value != NULL ? texts[i].value : "");
        }
    }
    if (api_given(call, "enable")) {
        user->enabled = args->enable;
    }
    if (api_given(call, "expire")) {
        user->expires_s = args->expire;
    }
}

static bool
apply_groups(ApiCall *call, UserCfg *cfg, const UserArgs *args, bool append, GError **error)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(cfg->groups);

    if (!api_given(call, "groups")) {
        return true;
    }
    for (char **group = args->groups; *group != NULL; group++) {
        if (!g_hash_table_contains(cfg->groups, *group)) {
            return api_blame(error, "groups", "no such group '%s'", *group);
        }
    }
    for (guint i = 0; i < names->len; i++) {
        AccessGroup *group = g_hash_table_lookup(cfg->groups, names->pdata[i]);
        bool wanted = g_strv_contains((const char *const *)args->groups, names->pdata[i]);
        if (wanted) {
            g_hash_table_add(group->members, g_strdup(args->userid));
        } else if (!append) {
            g_hash_table_remove(group->members, args->userid);
        }
    }
    return true;
}

static bool
create_change(ApiCall *call, UserCfg *cfg, const void *data, GError **error)
{
    const UserArgs *args = data;

    if (g_hash_table_contains(cfg->users, args->userid)) {
        return q_set_error(error, Q_ERROR_EXISTS, "create user failed: user '%s' already exists",
                           args->userid);
    }
    AccessUser *user = g_new0(AccessUser, 1);
    user->enabled = args->enable;
    g_hash_table_insert(cfg->users, g_strdup(args->userid), user);
    apply_settings(call, user, args);
    return apply_groups(call, cfg, args, true, error);
}

/* Each group named must be one that the caller may change users of; without groups, any does. */
static bool
may_put_in_groups(ApiCall *call, char **groups, GError **error)
{
    for (char **group = groups; group != NULL && *group != NULL; group++) {
        g_autofree char *path = g_strdup_printf("/access/groups/%s", *group);
        if (!api_may(call, path, "User.Modify")) {
            return q_set_error(error, Q_ERROR_DENIED, "Permission check failed (%s, User.Modify)",
                               path);
        }
    }
    if (groups == NULL && !api_may(call, "/access/groups", "User.Modify")) {
        return q_set_error(error, Q_ERROR_DENIED,
                           "Permission check failed (/access/groups, User.Modify)");
    }
    return true;
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const UserArgs *args = data;

    if (args->password != NULL) {
        q_set_error(error, Q_ERROR_UNSUPPORTED, "passwords of realm 'pve' cannot be set yet");
        return NULL;
    }
    if (!may_put_in_groups(call, args->groups, error)
        || !access_change(call, create_change, args, error)) {
        return NULL;
    }
    return q_json_node_null();
}

static const ApiParam create_params[] = {
    PARAM_USER,
    PARAMS_SETTINGS,
    API_PARAM(UserArgs, password, API_STRING, .optional = true, .min_length = 8, .max_length = 64,
              .secret = true, .doc = "First password."),
    { 0 },
};

const ApiMethod api_access_user_create = {
    .verb = API_POST,
    .path = "/access/users",
    .doc = "Create a user.",
    .params = create_params,
    .access = "realm(userid)+",
    .as_root = true,
    .needs_quorum = true,
    .run = create_run,
};

static bool
update_change(ApiCall *call, UserCfg *cfg, const void *data, GError **error)
{
    const UserArgs *args = data;
    AccessUser *user = g_hash_table_lookup(cfg->users, args->userid);

    if (user == NULL) {
        api_status(error, Q_ERROR_NOT_FOUND, 500, "no such user ('%s')", args->userid);
        return false;
    }
    apply_settings(call, user, args);
    return apply_groups(call, cfg, args, args->append, error);
}

static JsonNode *
update_run(ApiCall *call, const void *data, GError **error)
{
    const UserArgs *args = data;

    if (strcmp(args->userid, ACCESS_ROOT) == 0 && !api_is_root(call)) {
        q_set_error(error, Q_ERROR_DENIED, "Permission check failed (user != " ACCESS_ROOT ")");
        return NULL;
    }
    if ((args->groups != NULL && !may_put_in_groups(call, args->groups, error))
        || !access_change(call, update_change, args, error)) {
        return NULL;
    }
    return q_json_node_null();
}

static const ApiParam update_params[] = {
    PARAM_USER,
    PARAMS_SETTINGS,
    API_PARAM(UserArgs, append, API_BOOLEAN, .optional = true, .requires = "groups",
              .doc = "Add the groups to those of before."),
    { 0 },
};

const ApiMethod api_access_user_update = {
    .verb = API_PUT,
    .path = "/access/users/{userid}",
    .doc = "Change a user.",
    .params = update_params,
    .access = "group(User.Modify)+",
    .as_root = true,
    .needs_quorum = true,
    .run = update_run,
};

static gboolean
belongs_to(gpointer token, gpointer value, gpointer userid)
{
    g_autofree char *owner = access_owner(token);

    return strcmp(owner, userid) == 0;
}

static bool
delete_change(ApiCall *call, UserCfg *cfg, const void *data, GError **error)
{
    const UserArgs *args = data;
    g_autoptr(GPtrArray) groups = q_sorted_keys(cfg->groups);
    g_autoptr(GPtrArray) paths = q_sorted_keys(cfg->acl);

    if (strcmp(args->userid, ACCESS_ROOT) == 0) {
        return q_set_error(error, Q_ERROR_INVALID, ACCESS_ROOT " cannot be deleted");
    }
    if (!g_hash_table_remove(cfg->users, args->userid)) {
        api_status(error, Q_ERROR_NOT_FOUND, 500, "no such user ('%s')", args->userid);
        return false;
    }
    g_hash_table_foreach_remove(cfg->tokens, belongs_to, args->userid);
    for (guint i = 0; i < groups->len; i++) {
        AccessGroup *group = g_hash_table_lookup(cfg->groups, groups->pdata[i]);
        g_hash_table_remove(group->members, args->userid);
    }
    for (guint p = 0; p < paths->len; p++) {
        GPtrArray *entries = g_hash_table_lookup(cfg->acl, paths->pdata[p]);
        for (guint i = entries->len; i-- > 0;) {
            if (belongs_to(((AccessEntry *)entries->pdata[i])->subject, NULL, args->userid)) {
                g_ptr_array_remove_index(entries, i);
            }
        }
    }
    return true;
}

static JsonNode *
delete_run(ApiCall *call, const void *args, GError **error)
{
    return access_change(call, delete_change, args, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_access_user_delete = {
    .verb = API_DELETE,
    .path = "/access/users/{userid}",
    .doc = "Delete a user, its tokens and permissions.",
    .params = user_params,
    .access = "and(realm(userid), group(User.Modify))",
    .as_root = true,
    .needs_quorum = true,
    .run = delete_run,
};

/* ------------------------------------------------------------------ roles */

static JsonObject *
role_row(const UserCfg *cfg, const char *role, bool special)
{
    JsonObject *row = json_object_new();
    g_auto(GStrv) privileges = access_role(cfg, role);
    g_autofree char *list = g_strjoinv(",", privileges);

    json_object_set_string_member(row, "roleid", role);
    json_object_set_string_member(row, "privs", list);
    json_object_set_int_member(row, "special", special);
    return row;
}

static JsonNode *
roles_run(ApiCall *call, const void *args, GError **error)
{
    g_autoptr(UserCfg) cfg = users_read();
    g_auto(GStrv) builtin = access_builtin_roles();
    g_autoptr(GPtrArray) own = q_sorted_keys(cfg->roles);
    JsonArray *rows = json_array_new();

    for (char **role = builtin; *role != NULL; role++) {
        json_array_add_object_element(rows, role_row(cfg, *role, true));
    }
    for (guint i = 0; i < own->len; i++) {
        if (!g_strv_contains((const char *const *)builtin, own->pdata[i])) {
            json_array_add_object_element(rows, role_row(cfg, own->pdata[i], false));
        }
    }
    return q_json_node_array(rows);
}

static const ApiColumn role_columns[] = {
    { "privs", API_STRING, .optional = true, .doc = "Its privileges." },
    { "roleid", API_STRING, .doc = "Name of the role." },
    { "special", API_BOOLEAN, .optional = true, .doc = "Is always there." },
    { 0 },
};

const ApiMethod api_access_roles = {
    .verb = API_GET,
    .path = "/access/roles",
    .doc = "Roles and their privileges.",
    .returns = API_ROWS,
    .columns = role_columns,
    .access = "all",
    .run = roles_run,
};

typedef struct {
    char *roleid;
} RoleArgs;

static const ApiParam role_params[] = {
    API_PARAM(RoleArgs, roleid, API_STRING, .format = "pve-roleid", .doc = "Name of the role."),
    { 0 },
};

static JsonNode *
role_read_run(ApiCall *call, const void *data, GError **error)
{
    const RoleArgs *args = data;
    g_autoptr(UserCfg) cfg = users_read();
    g_auto(GStrv) privileges = access_role(cfg, args->roleid);

    if (privileges == NULL) {
        api_status(error, Q_ERROR_NOT_FOUND, 500, "role '%s' does not exist", args->roleid);
        return NULL;
    }
    JsonObject *row = json_object_new();
    for (char **name = privileges; *name != NULL; name++) {
        json_object_set_int_member(row, *name, 1);
    }
    return q_json_node_object(row);
}

const ApiMethod api_access_role_read = {
    .verb = API_GET,
    .path = "/access/roles/{roleid}",
    .doc = "Privileges of a role.",
    .params = role_params,
    .returns = API_OBJECT,
    .access = "all",
    .run = role_read_run,
};

/* ------------------------------------------------------------------ ACL */

static const char *
subject_type(const char *subject)
{
    return subject[0] == '@' ? "group" : strchr(subject, '!') != NULL ? "token" : "user";
}

static JsonNode *
acl_run(ApiCall *call, const void *args, GError **error)
{
    static const char *const modify[] = { "Permissions.Modify", NULL };
    g_autoptr(UserCfg) cfg = users_read();
    g_autoptr(GPtrArray) paths = q_sorted_keys(cfg->acl);
    JsonArray *rows = json_array_new();
    bool all = api_may(call, "/access", "Sys.Audit");

    for (guint p = 0; p < paths->len; p++) {
        const GPtrArray *entries = g_hash_table_lookup(cfg->acl, paths->pdata[p]);
        if (!all && !access_holds(cfg, call->user, paths->pdata[p], modify, false)) {
            continue;
        }
        for (guint i = 0; i < entries->len; i++) {
            const AccessEntry *entry = entries->pdata[i];
            JsonObject *row = json_object_new();
            json_object_set_string_member(row, "path", paths->pdata[p]);
            json_object_set_string_member(row, "roleid", entry->role);
            json_object_set_string_member(row, "type", subject_type(entry->subject));
            json_object_set_string_member(row, "ugid", entry->subject + (entry->subject[0] == '@'));
            json_object_set_int_member(row, "propagate", entry->propagate);
            json_array_add_object_element(rows, row);
        }
    }
    return q_json_node_array(rows);
}

static const ApiColumn acl_columns[] = {
    { "path", API_STRING, .doc = "What the permission is on." },
    { "propagate", API_BOOLEAN, .optional = true, .doc = "Also below it." },
    { "roleid", API_STRING, .doc = "Role that is given." },
    { "type", API_STRING, .doc = "user, group or token." },
    { "ugid", API_STRING, .doc = "To whom." },
    { 0 },
};

const ApiMethod api_access_acl = {
    .verb = API_GET,
    .path = "/access/acl",
    .doc = "Permissions that were given.",
    .returns = API_ROWS,
    .columns = acl_columns,
    .access = "all+",
    .run = acl_run,
};

typedef struct {
    char *path;
    char **roles, **users, **groups, **tokens;
    bool propagate, delete;
} AclArgs;

static const ApiParam acl_params[] = {
    API_PARAM(AclArgs, path, API_STRING, .doc = "What the permission is on."),
    API_PARAM(AclArgs, roles, API_LIST, .format = "pve-roleid-list",
              .doc = "Roles to give or take."),
    API_PARAM(AclArgs, users, API_LIST, .optional = true, .format = "pve-userid-list",
              .doc = "Users to give them to."),
    API_PARAM(AclArgs, groups, API_LIST, .optional = true, .format = "pve-groupid-list",
              .doc = "Groups to give them to."),
    API_PARAM(AclArgs, tokens, API_LIST, .optional = true, .format = "pve-tokenid-list",
              .doc = "API tokens to give them to."),
    API_PARAM(AclArgs, propagate, API_BOOLEAN, .optional = true, .def = "1",
              .doc = "Also below it."),
    API_PARAM(AclArgs, delete, API_BOOLEAN, .optional = true, .doc = "Take them away."),
    { 0 },
};

static void
remove_entry(GPtrArray *entries, const char *subject, const char *role)
{
    for (guint i = entries->len; i-- > 0;) {
        const AccessEntry *entry = entries->pdata[i];
        if (strcmp(entry->subject, subject) == 0 && strcmp(entry->role, role) == 0) {
            g_ptr_array_remove_index(entries, i);
        }
    }
}

static bool
apply_subjects(UserCfg *cfg, GPtrArray *entries, const AclArgs *args, char **subjects,
               GHashTable *known, const char *what, GError **error)
{
    for (char **subject = subjects; subject != NULL && *subject != NULL; subject++) {
        g_autofree char *name =
            known == cfg->groups ? g_strconcat("@", *subject, NULL) : g_strdup(*subject);
        if (!args->delete &&!g_hash_table_contains(known, *subject)) {
            return api_blame(error, what, "'%s' does not exist", *subject);
        }
        for (char **role = args->roles; *role != NULL; role++) {
            remove_entry(entries, name, *role);
            if (!args->delete) {
                AccessEntry *entry = g_new0(AccessEntry, 1);
                entry->subject = g_strdup(name);
                entry->role = g_strdup(*role);
                entry->propagate = args->propagate;
                g_ptr_array_add(entries, entry);
            }
        }
    }
    return true;
}

/* Without Permissions.Modify itself, only what one holds oneself may be handed on. */
static bool
may_hand_out(ApiCall *call, const UserCfg *cfg, const AclArgs *args, const char *path,
             GError **error)
{
    static const char *const modify[] = { "Permissions.Modify", NULL };

    if (api_is_root(call) || access_holds(cfg, call->user, path, modify, false)) {
        return true;
    }
    for (char **role = args->roles; *role != NULL; role++) {
        g_auto(GStrv) privileges = access_role(cfg, *role);
        if (privileges == NULL
            || !access_holds(cfg, call->user, path, (const char *const *)privileges, false)) {
            return api_blame(error, "role", "you do not hold everything that role '%s' gives",
                             *role);
        }
    }
    return true;
}

static bool
acl_change(ApiCall *call, UserCfg *cfg, const void *data, GError **error)
{
    const AclArgs *args = data;
    g_autofree char *path = access_path(args->path);

    if (path == NULL && !args->delete) {
        return api_blame(error, "path", "invalid ACL path '%s'", args->path);
    }
    const char *key = path != NULL ? path : args->path;
    for (char **role = args->roles; *role != NULL; role++) {
        g_auto(GStrv) privileges = access_role(cfg, *role);
        if (privileges == NULL && !args->delete) {
            return api_blame(error, "roles", "role '%s' does not exist", *role);
        }
    }
    if (!may_hand_out(call, cfg, args, key, error)) {
        return false;
    }
    GPtrArray *entries = g_hash_table_lookup(cfg->acl, key);
    if (entries == NULL) {
        entries = g_ptr_array_new_with_free_func((GDestroyNotify)access_entry_free);
        g_hash_table_insert(cfg->acl, g_strdup(key), entries);
    }
    return apply_subjects(cfg, entries, args, args->users, cfg->users, "users", error)
           && apply_subjects(cfg, entries, args, args->groups, cfg->groups, "groups", error)
           && apply_subjects(cfg, entries, args, args->tokens, cfg->tokens, "tokens", error);
}

static JsonNode *
acl_update_run(ApiCall *call, const void *data, GError **error)
{
    const AclArgs *args = data;

    if (args->users == NULL && args->groups == NULL && args->tokens == NULL) {
        api_blame(error, "users", "one of 'users', 'groups' and 'tokens' is needed");
        return NULL;
    }
    return access_change(call, acl_change, args, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_access_acl_update = {
    .verb = API_PUT,
    .path = "/access/acl",
    .doc = "Give permissions, or take them away.",
    .params = acl_params,
    .access = "modify({path})",
    .as_root = true,
    .needs_quorum = true,
    .run = acl_update_run,
};

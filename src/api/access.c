#include "api/access.h"
#include <string.h>
#include "access/core/roles.h"
#include "access/keys.h"
#include "access/login.h"
#include "access/users.h"
#include "api/access_priv.h"
#include "api/index.h"
#include "base/sorted.h"
#include "sys/clock.h"

/* ------------------------------------------------------------------ GET /access */

static const ApiColumn index_columns[] = {
    { "subdir", API_STRING, .doc = "Name of an area." },
    { 0 },
};

static JsonNode *
index_run(ApiCall *call, const void *args, GError **error)
{
    return api_children("/access", "subdir");
}

const ApiMethod api_access_index = {
    .verb = API_GET,
    .path = "/access",
    .doc = "Areas of access control.",
    .returns = API_ROWS,
    .columns = index_columns,
    .access = "all",
    .run = index_run,
};

/* ------------------------------------------------------------------ what a page may offer */

GPtrArray *
access_paths(const UserCfg *cfg)
{
    static const char *const always[] = { "/",     "/access", "/access/groups", "/nodes",
                                          "/pool", "/sdn",    "/storage",       "/vms" };
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) acl = q_sorted_keys(cfg->acl);
    g_autoptr(GPtrArray) pools = q_sorted_keys(cfg->pools);

    for (size_t i = 0; i < G_N_ELEMENTS(always); i++) {
        g_hash_table_add(set, g_strdup(always[i]));
    }
    for (guint i = 0; i < acl->len; i++) {
        g_hash_table_add(set, g_strdup(acl->pdata[i]));
    }
    for (guint i = 0; i < pools->len; i++) {
        const AccessPool *pool = g_hash_table_lookup(cfg->pools, pools->pdata[i]);
        g_autoptr(GPtrArray) vms = q_sorted_keys(pool->vms);
        g_autoptr(GPtrArray) storages = q_sorted_keys(pool->storages);
        for (guint v = 0; v < vms->len; v++) {
            g_hash_table_add(set, g_strdup_printf("/vms/%s", (const char *)vms->pdata[v]));
        }
        for (guint s = 0; s < storages->len; s++) {
            g_hash_table_add(set, g_strdup_printf("/storage/%s", (const char *)storages->pdata[s]));
        }
    }
    g_autoptr(GPtrArray) sorted = q_sorted_keys(set);
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < sorted->len; i++) {
        g_ptr_array_add(paths, g_strdup(sorted->pdata[i]));
    }
    return paths;
}

/* clang-format off */
static const struct {
    const char *area;
    const char *head;        /* of the paths; NULL: "/" alone */
    const char *prefixes[3]; /* of the privileges */
} areas[] = {
    { "vms",     "/vms",     { "VM." } },
    { "access",  "/access",  { "User.", "Group." } },
    { "storage", "/storage", { "Datastore." } },
    { "nodes",   "/nodes",   { "Sys." } },
    { "sdn",     "/sdn",     { "SDN." } },
    { "mapping", "/mapping", { "Mapping." } },
    { "dc",      NULL,       { "Sys.Audit", "Sys.Modify", "SDN." } },
};
/* clang-format on */

static bool
concerns(size_t area, const char *path, const char *privilege)
{
    const char *head = areas[area].head;
    bool pool = g_str_has_prefix(path, "/pool");
    bool pool_area =
        strcmp(areas[area].area, "vms") == 0 || strcmp(areas[area].area, "storage") == 0;

    if (head == NULL
            ? strcmp(path, "/") != 0
            : strcmp(path, "/") != 0 && !g_str_has_prefix(path, head) && !(pool && pool_area)) {
        return false;
    }
    if (strcmp(privilege, "Permissions.Modify") == 0) {
        return head != NULL && !pool;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(areas[area].prefixes); i++) {
        if (areas[area].prefixes[i] != NULL
            && g_str_has_prefix(privilege, areas[area].prefixes[i])) {
            return true;
        }
    }
    return false;
}

JsonObject *
access_capabilities(const UserCfg *cfg, const char *user)
{
    JsonObject *capabilities = json_object_new();
    g_autoptr(GPtrArray) paths = access_paths(cfg);

    for (size_t a = 0; a < G_N_ELEMENTS(areas); a++) {
        JsonObject *held = json_object_new();
        for (guint p = 0; p < paths->len; p++) {
            g_autoptr(GHashTable) there = access_privileges_on(cfg, user, paths->pdata[p]);
            g_autoptr(GPtrArray) names = q_sorted_keys(there);
            for (guint n = 0; n < names->len; n++) {
                if (concerns(a, paths->pdata[p], names->pdata[n])) {
                    json_object_set_int_member(held, names->pdata[n], 1);
                }
            }
        }
        json_object_set_object_member(capabilities, areas[a].area, held);
    }
    return capabilities;
}

/* ------------------------------------------------------------------ /access/ticket */

typedef struct {
    char *username, *realm, *password, *otp, *tfa_challenge, *path;
    char **privs;
    bool new_format;
} TicketArgs;

static const ApiParam ticket_params[] = {
    API_PARAM(TicketArgs, username, API_STRING, .doc = "User, with or without @realm.",
              .max_length = 64),
    API_PARAM(TicketArgs, realm, API_STRING, .optional = true, .format = "pve-realm",
              .max_length = 32, .doc = "Realm, if not in the user name."),
    API_PARAM(TicketArgs, password, API_STRING, .secret = true, .doc = "Password, or a ticket."),
    API_PARAM(TicketArgs, otp, API_STRING, .optional = true, .secret = true,
              .doc = "One-time password of a second factor."),
    API_PARAM(TicketArgs, tfa_challenge, API_STRING, API_NAME("tfa-challenge"), .optional = true,
              .doc = "The half ticket that a second factor completes."),
    API_PARAM(TicketArgs, path, API_STRING, .optional = true, .max_length = 64, .requires = "privs",
              .doc = "Only check whether the user holds these privileges here."),
    API_PARAM(TicketArgs, privs, API_LIST, .optional = true, .max_length = 64, .requires = "path",
              .format = "pve-priv-list", .doc = "Privileges to check."),
    API_PARAM(TicketArgs, new_format, API_BOOLEAN, API_NAME("new-format"), .optional = true,
              .def = "1", .doc = "Has no effect: there is only the new form."),
    { 0 },
};

static JsonNode *
no_second_factor(GError **error)
{
    q_set_error(error, Q_ERROR_UNAUTHENTICATED, "authentication failure");
    return NULL;
}

static JsonNode *
ticket_run(ApiCall *call, const void *data, GError **error)
{
    const TicketArgs *args = data;
    LoginRequest request = { .username = args->username,
                             .realm = args->realm,
                             .password = args->password,
                             .client = call->client };
    g_autofree char *user = NULL;

    if (args->tfa_challenge != NULL) {
        return no_second_factor(error);
    }
    if (!login_check(&request, &user, error)) {
        return NULL;
    }
    g_autoptr(UserCfg) cfg = users_read();
    g_autoptr(JsonObject) answer = json_object_new();
    json_object_set_string_member(answer, "username", user);
    json_object_set_object_member(answer, "cap", access_capabilities(cfg, user));
    if (args->path != NULL) {
        if (!access_holds(cfg, user, args->path, (const char *const *)args->privs, false)) {
            q_set_error(error, Q_ERROR_UNAUTHENTICATED, "authentication failure");
            return NULL;
        }
        return q_json_node_object(g_steal_pointer(&answer));
    }
    g_autofree char *ticket = keys_ticket("PVE", user, NULL, error);
    g_autofree char *secret = ticket != NULL ? keys_csrf_secret(error) : NULL;
    if (secret == NULL) {
        return NULL;
    }
    g_autofree char *csrf = csrf_token(secret, user, q_clock_wall_s());
    json_object_set_string_member(answer, "ticket", ticket);
    json_object_set_string_member(answer, "CSRFPreventionToken", csrf);

    static const char *const audit[] = { "Sys.Audit", NULL };
    CfsClient *cfs = api_cfs(call, NULL);
    if (cfs != NULL && *cfs_client_cluster(cfs) != '\0'
        && access_holds(cfg, user, "/", audit, false)) {
        json_object_set_string_member(answer, "clustername", cfs_client_cluster(cfs));
    }
    return q_json_node_object(g_steal_pointer(&answer));
}

static const ApiColumn ticket_columns[] = {
    { "CSRFPreventionToken", API_STRING, .optional = true,
      .doc = "For calls that change something." },
    { "clustername", API_STRING, .optional = true, .doc = "Name of the cluster." },
    { "ticket", API_STRING, .optional = true, .doc = "For the cookie PVEAuthCookie." },
    { "username", API_STRING, .doc = "User with realm." },
    { 0 },
};

const ApiMethod api_access_ticket_create = {
    .verb = API_POST,
    .path = "/access/ticket",
    .doc = "Log in.",
    .params = ticket_params,
    .returns = API_OBJECT,
    .columns = ticket_columns,
    .access = "world+",
    .no_token = true,
    .as_root = true,
    .run = ticket_run,
};

static JsonNode *
ticket_get_run(ApiCall *call, const void *args, GError **error)
{
    return q_json_node_null();
}

const ApiMethod api_access_ticket_get = {
    .verb = API_GET,
    .path = "/access/ticket",
    .doc = "Does nothing; for pages that look whether somebody is there.",
    .access = "world",
    .run = ticket_get_run,
};

/* ------------------------------------------------------------------ GET /access/domains */

static void
add_realm(JsonArray *rows, const char *realm, const char *type, const char *comment)
{
    JsonObject *row = json_object_new();

    json_object_set_string_member(row, "realm", realm);
    json_object_set_string_member(row, "type", type);
    json_object_set_string_member(row, "comment", comment);
    json_array_add_object_element(rows, row);
}

static JsonNode *
domains_run(ApiCall *call, const void *args, GError **error)
{
    JsonArray *rows = json_array_new();

    add_realm(rows, "pam", "pam", "Accounts of the node that is asked");
    add_realm(rows, "pve", "pve", "Accounts of this cluster");
    return q_json_node_array(rows);
}

static const ApiColumn domain_columns[] = {
    { "comment", API_STRING, .optional = true, .doc = "For people." },
    { "realm", API_STRING, .doc = "Name of the realm." },
    { "tfa", API_STRING, .optional = true, .doc = "Second factor that it demands." },
    { "type", API_STRING, .doc = "Kind of realm." },
    { 0 },
};

const ApiMethod api_access_domains = {
    .verb = API_GET,
    .path = "/access/domains",
    .doc = "Realms that users may be of.",
    .returns = API_ROWS,
    .columns = domain_columns,
    .access = "world+",
    .run = domains_run,
};

/* ------------------------------------------------------------------ GET /access/permissions */

typedef struct {
    char *path, *userid;
} PermissionArgs;

static const ApiParam permission_params[] = {
    API_PARAM(PermissionArgs, path, API_STRING, .optional = true, .doc = "Only this path."),
    API_PARAM(PermissionArgs, userid, API_STRING, .optional = true,
              .pattern = "[^\\s:/]+@[A-Za-z][A-Za-z0-9._-]+(![A-Za-z][A-Za-z0-9._-]+)?",
              .doc = "Another user or token."),
    { 0 },
};

static void
put_permissions(JsonObject *answer, const UserCfg *cfg, const char *user, const char *path)
{
    g_autoptr(GHashTable) held = access_privileges_on(cfg, user, path);
    g_autoptr(GPtrArray) names = q_sorted_keys(held);
    JsonObject *privileges = json_object_new();

    for (guint i = 0; i < names->len; i++) {
        json_object_set_int_member(privileges, names->pdata[i],
                                   GPOINTER_TO_INT(g_hash_table_lookup(held, names->pdata[i])));
    }
    if (names->len > 0) {
        json_object_set_object_member(answer, path, privileges);
    } else {
        json_object_unref(privileges);
    }
}

static JsonNode *
permissions_run(ApiCall *call, const void *data, GError **error)
{
    const PermissionArgs *args = data;
    const char *user = args->userid != NULL ? args->userid : call->user;
    g_autoptr(UserCfg) cfg = users_read();

    if (strcmp(user, call->user) != 0 && !api_may(call, "/access", "Sys.Audit")) {
        q_set_error(error, Q_ERROR_DENIED, "Permission check failed (/access, Sys.Audit)");
        return NULL;
    }
    g_autofree char *one = args->path != NULL ? access_path(args->path) : NULL;
    if (args->path != NULL && one == NULL) {
        api_blame(error, "path", "no such path: '%s'", args->path);
        return NULL;
    }
    JsonObject *answer = json_object_new();
    if (one != NULL) {
        put_permissions(answer, cfg, user, one);
    } else {
        g_autoptr(GPtrArray) paths = access_paths(cfg);
        for (guint i = 0; i < paths->len; i++) {
            put_permissions(answer, cfg, user, paths->pdata[i]);
        }
    }
    return q_json_node_object(answer);
}

const ApiMethod api_access_permissions = {
    .verb = API_GET,
    .path = "/access/permissions",
    .doc = "What a user may, by path; 1: also below it.",
    .params = permission_params,
    .returns = API_OBJECT,
    .access = "all+",
    .run = permissions_run,
};

const ApiMethod *const api_access_methods[] = {
    &api_access_index,       &api_access_ticket_get,  &api_access_ticket_create,
    &api_access_domains,     &api_access_permissions, &api_access_users,
    &api_access_user_create, &api_access_user_read,   &api_access_user_update,
    &api_access_user_delete, &api_access_roles,       &api_access_role_read,
    &api_access_acl,         &api_access_acl_update,  NULL,
};

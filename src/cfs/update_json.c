#include "cfs/update_json.h"
#include <string.h>
#include "cfs/guard.h"

enum { PARTS_MAX = 1024 }; /* conditions, or changes, of one update */

/* What building one update needs at hand. */
typedef struct {
    CfsRequest *request;
    const CfsHost *host;
    Update *update;
} Build;

Generation
cfs_generation_member(JsonObject *object, const char *name)
{
    JsonArray *pair = q_json_array(object, name);

    if (pair == NULL || json_array_get_length(pair) != 2) {
        return (Generation){ 0, 0 };
    }
    return (Generation){ json_array_get_int_element(pair, 0), json_array_get_int_element(pair, 1) };
}

void
cfs_set_generation(JsonObject *object, const char *name, Generation generation)
{
    JsonArray *pair = json_array_new();

    json_array_add_int_element(pair, generation.epoch);
    json_array_add_int_element(pair, generation.sequence);
    json_object_set_array_member(object, name, pair);
}

static bool
need_path(const char *path, GError **error)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) > TREE_PATH_MAX) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "path '%s': expected one relative to /etc/pve, without leading slash",
                           path);
    }
    return true;
}

static bool
need_vmid(int64_t vmid, GError **error)
{
    return (vmid > 0 && vmid <= G_MAXUINT32)
           || q_set_error(error, Q_ERROR_INVALID, "guest id %" G_GINT64_FORMAT " cannot be", vmid);
}

/* ------------------------------------------------------------------ conditions */

static bool
add_condition(Build *build, JsonObject *condition, GError **error)
{
    Update *update = build->update;
    const char *path = q_json_string(condition, "path", NULL);
    const char *lease = q_json_string(condition, "lease", NULL);
    const char *fenced = q_json_string(condition, "fenced", NULL);
    const char *word = json_object_has_member(condition, "run")    ? "run"
                       : json_object_has_member(condition, "dead") ? "dead"
                       : json_object_has_member(condition, "mig")  ? "mig"
                                                                   : NULL;

    if (path != NULL) {
        update_if_version(update, path, q_json_int(condition, "version", 0));
    } else if (lease != NULL) {
        update_if_lease(update, lease, cfs_generation_member(condition, "generation"));
    } else if (fenced != NULL) {
        update_if_fenced(update, fenced, cfs_generation_member(condition, "generation"));
    } else if (word == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "expected one of path, lease, fenced, run, dead, mig");
    } else {
        int64_t vmid = q_json_int(condition, word, 0);
        if (!need_vmid(vmid, error)) {
            return false;
        }
        if (strcmp(word, "run") == 0) {
            update_if_run(update, vmid, q_json_string(condition, "start", NULL));
        } else if (strcmp(word, "mig") == 0) {
            update_if_mig(update, vmid, q_json_string(condition, "id", NULL));
        } else {
            update_if_dead(update, vmid);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ changes */

static bool
guard_content(Build *build, const char *path, GBytes *content, GError **error)
{
    return cfs_guard_content(cfs_host_tree(build->host), path, content, cfs_host_node(build->host),
                             build->update, error);
}

static bool
add_create(Build *build, JsonObject *change, GError **error)
{
    const char *path = q_json_string(change, "create", "");
    g_autoptr(GBytes) content = cfs_request_bytes(build->request, change, error);

    if (content == NULL || !need_path(path, error) || !guard_content(build, path, content, error)) {
        return false;
    }
    update_create(build->update, path, content, true);
    return true;
}

static bool
add_write(Build *build, JsonObject *change, GError **error)
{
    const char *path = q_json_string(change, "write", "");
    g_autoptr(GBytes) content = cfs_request_bytes(build->request, change, error);

    if (content == NULL || !need_path(path, error) || !guard_content(build, path, content, error)) {
        return false;
    }
    update_write(build->update, path, content);
    return true;
}

static bool
add_remove(Build *build, JsonObject *change, GError **error)
{
    const char *path = q_json_string(change, "remove", "");

    if (!need_path(path, error) || !cfs_guard_remove(path, cfs_host_local(build->host), error)) {
        return false;
    }
    update_remove(build->update, path);
    return true;
}

static bool
add_mkdir(Build *build, JsonObject *change, GError **error)
{
    const char *path = q_json_string(change, "mkdir", "");

    if (!need_path(path, error)) {
        return false;
    }
    update_mkdir(build->update, path);
    return true;
}

static bool
add_mtime(Build *build, JsonObject *change, GError **error)
{
    const char *path = q_json_string(change, "mtime", "");

    if (!need_path(path, error)) {
        return false;
    }
    update_mtime(build->update, path, q_json_int(change, "time", 0));
    return true;
}

static bool
add_rename(Build *build, JsonObject *change, GError **error)
{
    JsonArray *pair = q_json_array(change, "rename");

    if (pair == NULL || json_array_get_length(pair) != 2
        || !JSON_NODE_HOLDS_VALUE(json_array_get_element(pair, 0))
        || !JSON_NODE_HOLDS_VALUE(json_array_get_element(pair, 1))) {
        return q_set_error(error, Q_ERROR_INVALID, "expected \"rename\":[FROM, TO]");
    }
    const char *from = json_array_get_string_element(pair, 0);
    const char *to = json_array_get_string_element(pair, 1);
    if (from == NULL || to == NULL || !need_path(from, error) || !need_path(to, error)
        || !cfs_guard_rename(cfs_host_tree(build->host), from, to, cfs_host_node(build->host),
                             cfs_host_local(build->host), build->update, error)) {
        return false;
    }
    update_rename(build->update, from, to);
    return true;
}

static bool
add_run(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "run", 0);
    const char *node = q_json_string(change, "node", NULL);
    const char *boot = q_json_string(change, "boot", NULL);
    const char *start = q_json_string(change, "start", NULL);

    if (!need_vmid(vmid, error)) {
        return false;
    }
    if (node == NULL || boot == NULL || start == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "a run record needs node, boot and start");
    }
    update_run(build->update, vmid, node, boot, start, cfs_generation_member(change, "guard"));
    return true;
}

static bool
add_run_clear(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "run.clear", 0);

    if (!need_vmid(vmid, error)) {
        return false;
    }
    update_run_clear(build->update, vmid);
    return true;
}

static bool
add_guard(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "guard", 0);

    if (!need_vmid(vmid, error)) {
        return false;
    }
    update_guard(build->update, vmid, cfs_generation_member(change, "generation"));
    return true;
}

static bool
add_mig(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "mig", 0);
    const char *id = q_json_string(change, "id", NULL);
    const char *start = q_json_string(change, "start", NULL);
    const char *target = q_json_string(change, "target", NULL);
    const char *boot = q_json_string(change, "target_boot", NULL);

    if (!need_vmid(vmid, error)) {
        return false;
    }
    if (id == NULL || start == NULL || target == NULL || boot == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "a migration record needs id, start, target and target_boot");
    }
    update_mig(build->update, vmid, id, start, target, boot,
               q_json_string(change, "phase", "moving"));
    return true;
}

static bool
add_mig_clear(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "mig.clear", 0);

    if (!need_vmid(vmid, error)) {
        return false;
    }
    update_mig_clear(build->update, vmid);
    return true;
}

static bool
add_off(Build *build, JsonObject *change, GError **error)
{
    const char *node = q_json_string(change, "off", NULL);
    const char *boot = q_json_string(change, "boot", NULL);
    const char *state = q_json_string(change, "state", "");
    OffState value = OFF_RUNNING;

    if (strcmp(state, "done") == 0) {
        value = OFF_DONE;
    } else if (strcmp(state, "failed") == 0) {
        value = OFF_FAILED;
    } else if (strcmp(state, "running") != 0 || node == NULL || boot == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "a power-off record needs off (the node), boot, manager, deadline and "
                           "state (running, done, failed)");
    }
    if (node == NULL || boot == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "a power-off record needs off and boot");
    }
    update_off(build->update, node, boot, cfs_generation_member(change, "manager"),
               q_json_int(change, "deadline", 0), value);
    return true;
}

static bool
add_dead(Build *build, JsonObject *change, GError **error)
{
    int64_t vmid = q_json_int(change, "dead", 0);
    const char *statement = q_json_string(change, "statement", "");

    if (!need_vmid(vmid, error)) {
        return false;
    }
    if (statement[0] == '\0') {
        return q_set_error(error, Q_ERROR_INVALID, "who says so, and why? (statement)");
    }
    update_dead(build->update, vmid, statement);
    return true;
}

static bool
add_lease_give(Build *build, JsonObject *change, GError **error)
{
    const char *node = q_json_string(change, "lease.give", NULL);

    if (node == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "expected \"lease.give\":NODE");
    }
    update_lease_give(build->update, node);
    return true;
}

static const struct {
    const char *word;
    bool (*add)(Build *build, JsonObject *change, GError **error);
} changes[] = {
    { "create", add_create },
    { "write", add_write },
    { "remove", add_remove },
    { "mkdir", add_mkdir },
    { "rename", add_rename },
    { "run.clear", add_run_clear },
    { "run", add_run },
    { "guard", add_guard },
    { "mig.clear", add_mig_clear },
    { "off", add_off },
    { "mig", add_mig },
    { "dead", add_dead },
    { "lease.give", add_lease_give },
    { "mtime", add_mtime },
};

static bool
add_change(Build *build, JsonObject *change, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        if (json_object_has_member(change, changes[i].word)) {
            return changes[i].add(build, change, error);
        }
    }
    return q_set_error(error, Q_ERROR_INVALID, "no such change");
}

/* ------------------------------------------------------------------ whole */

typedef bool (*AddPart)(Build *build, JsonObject *part, GError **error);

static bool
add_all(Build *build, const char *member, AddPart add, GError **error)
{
    JsonArray *parts = q_json_array(cfs_request_arguments(build->request), member);
    guint count = parts != NULL ? json_array_get_length(parts) : 0;

    if (count > PARTS_MAX) {
        return q_set_error(error, Q_ERROR_INVALID, "more than %d parts in \"%s\"", PARTS_MAX,
                           member);
    }
    for (guint i = 0; i < count; i++) {
        JsonNode *node = json_array_get_element(parts, i);
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
            return q_set_error(error, Q_ERROR_INVALID, "\"%s\"[%u] is no object", member, i);
        }
        if (!add(build, json_node_get_object(node), error)) {
            return q_prefix_error(error, "\"%s\"[%u]: ", member, i);
        }
    }
    return true;
}

Update *
cfs_update_from_request(CfsRequest *request, const CfsHost *host, GError **error)
{
    g_autoptr(Update) update = update_new();
    Build build = { .request = request, .host = host, .update = update };

    if (!add_all(&build, "if", add_condition, error) || !add_all(&build, "do", add_change, error)) {
        return NULL;
    }
    return g_steal_pointer(&update);
}

char *
cfs_update_part(JsonObject *arguments, const char *member, unsigned which)
{
    JsonArray *parts = q_json_array(arguments, member);

    if (parts == NULL || which >= json_array_get_length(parts)) {
        return g_strdup_printf("%s %u", member, which);
    }
    JsonNode *node = json_node_copy(json_array_get_element(parts, which));
    /* Content says nothing in a message, and may be secret. */
    JsonObject *object = json_object_new();
    JsonObject *whole = json_node_get_object(node);
    g_autoptr(GList) names = json_object_get_members(whole);
    for (GList *name = names; name != NULL; name = name->next) {
        if (strcmp(name->data, "text") != 0 && strcmp(name->data, "base64") != 0) {
            json_object_set_member(object, name->data,
                                   json_node_copy(json_object_get_member(whole, name->data)));
        }
    }
    char *text = q_json_object_text(object, Q_JSON_COMPACT);
    json_object_unref(object);
    json_node_unref(node);
    return text;
}

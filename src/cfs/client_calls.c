#include "cfs/client.h"
#include "cfs/client_priv.h"
#include <string.h>

/* The waiting calls that are more than one request, or give more than JSON. */

enum { MODIFY_TRIES = 20 };

static JsonObject *
one_word(const char *name, const char *value)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, name, value);
    return arguments;
}

/* ------------------------------------------------------------------ files */

char *
cfs_read(CfsClient *client, const char *path, uint64_t *version, size_t *length, GError **error)
{
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "get", one_word("path", path), CFS_TIMEOUT_MS, error);
    g_autoptr(GBytes) bytes = ok != NULL ? cfs_json_bytes(ok, error) : NULL;

    if (bytes == NULL) {
        return NULL;
    }
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size);
    char *content = g_malloc(size + 1);
    if (size > 0) {
        memcpy(content, data, size);
    }
    content[size] = '\0';
    if (version != NULL) {
        *version = q_json_int(ok, "version", 0);
    }
    if (length != NULL) {
        *length = size;
    }
    return content;
}

static void
entry_free(gpointer data)
{
    CfsEntry *entry = data;

    g_free(entry->name);
    g_free(entry);
}

GPtrArray *
cfs_list(CfsClient *client, const char *path, GError **error)
{
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "list", one_word("path", path), CFS_TIMEOUT_MS, error);
    JsonArray *rows = ok != NULL ? q_json_array(ok, "entries") : NULL;

    if (ok == NULL) {
        return NULL;
    }
    GPtrArray *entries = g_ptr_array_new_with_free_func(entry_free);
    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        CfsEntry *entry = g_new0(CfsEntry, 1);
        entry->name = g_strdup(q_json_string(row, "name", ""));
        entry->is_dir = strcmp(q_json_string(row, "kind", ""), "dir") == 0;
        entry->version = q_json_int(row, "version", 0);
        entry->size_bytes = q_json_int(row, "size", 0);
        entry->mtime_s = q_json_int(row, "mtime", 0);
        g_ptr_array_add(entries, entry);
    }
    return entries;
}

bool
cfs_write(CfsClient *client, const char *path, const char *text, uint64_t expected, GError **error)
{
    CfsTxn *txn = cfs_txn_new();

    if (expected != CFS_ANY) {
        cfs_txn_if_version(txn, path, expected);
    }
    cfs_txn_write(txn, path, text);
    return cfs_txn_commit(client, txn, NULL, error);
}

bool
cfs_modify(CfsClient *client, const char *path, CfsChangeFunc change, gpointer data, GError **error)
{
    for (int i = 0; i < MODIFY_TRIES; i++) {
        uint64_t version = CFS_ABSENT;
        g_autoptr(GError) why = NULL;
        g_autofree char *old = cfs_read(client, path, &version, NULL, &why);
        if (old == NULL && !g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        g_clear_error(&why);

        g_autofree char *text = change(old != NULL ? old : "", data, error);
        if (text == NULL) {
            return false;
        }
        if (old != NULL && strcmp(old, text) == 0) {
            return true;
        }
        if (cfs_write(client, path, text, version, &why)) {
            return true;
        }
        if (!g_error_matches(why, Q_ERROR, Q_ERROR_CONFLICT)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
    }
    return q_set_error(error, Q_ERROR_BUSY,
                       "'%s' was changed by others %d times in a row; try again", path,
                       MODIFY_TRIES);
}

/* ------------------------------------------------------------------ cluster */

bool
cfs_quorate(CfsClient *client, char **why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) ok = cfs_client_call(client, "quorum", NULL, CFS_TIMEOUT_MS, &error);

    if (why != NULL) {
        *why = g_strdup(ok != NULL ? q_json_string(ok, "why", "") : error->message);
    }
    return ok != NULL && q_json_bool(ok, "quorate", false);
}

static void
run_free(gpointer data)
{
    CfsRun *run = data;

    g_free(run->node);
    g_free(run->boot);
    g_free(run->start_id);
    g_free(run->mig_id);
    g_free(run);
}

GPtrArray *
cfs_runs(CfsClient *client, uint32_t vmid, GError **error)
{
    JsonObject *arguments = json_object_new();

    if (vmid != 0) {
        json_object_set_int_member(arguments, "vmid", vmid);
    }
    g_autoptr(JsonObject) ok = cfs_client_call(client, "records", arguments, CFS_TIMEOUT_MS, error);
    JsonArray *rows = ok != NULL ? q_json_array(ok, "records") : NULL;
    if (ok == NULL) {
        return NULL;
    }
    GPtrArray *runs = g_ptr_array_new_with_free_func(run_free);
    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        CfsRun *run = g_new0(CfsRun, 1);
        run->vmid = q_json_int(row, "vmid", 0);
        run->node = g_strdup(q_json_string(row, "node", ""));
        run->boot = g_strdup(q_json_string(row, "boot", ""));
        run->start_id = g_strdup(q_json_string(row, "start", ""));
        run->guard = cfs_generation_from_json(row, "guard");
        run->dead = q_json_bool(row, "dead", false);
        run->mig_id = g_strdup(q_json_string(row, "mig", NULL));
        g_ptr_array_add(runs, run);
    }
    return runs;
}

/* ------------------------------------------------------------------ leases */

void
cfs_lease_free(CfsLease *lease)
{
    if (lease != NULL) {
        g_free(lease->node);
        g_free(lease->boot);
        g_free(lease->state);
        g_free(lease);
    }
}

CfsLease *
cfs_lease_get(CfsClient *client, const char *name, GError **error)
{
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "lease.get", one_word("name", name), CFS_TIMEOUT_MS, error);

    if (ok == NULL) {
        return NULL;
    }
    CfsLease *lease = g_new0(CfsLease, 1);
    lease->node = g_strdup(q_json_string(ok, "node", ""));
    lease->boot = g_strdup(q_json_string(ok, "boot", ""));
    lease->generation = cfs_generation_from_json(ok, "generation");
    lease->state = g_strdup(q_json_string(ok, "state", ""));
    lease->left_ms = q_json_int(ok, "left_ms", 0);
    lease->heard_ms = q_json_int(ok, "heard_ms", 0);
    return lease;
}

bool
cfs_lease_take(CfsClient *client, const char *name, CfsGeneration *generation, int64_t *left_ms,
               GError **error)
{
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "lease.take", one_word("name", name), CFS_TIMEOUT_MS, error);

    if (ok == NULL) {
        if (left_ms != NULL) {
            *left_ms = cfs_client_left_ms(client);
        }
        return false;
    }
    *generation = cfs_generation_from_json(ok, "generation");
    return true;
}

bool
cfs_lease_release(CfsClient *client, const char *name, CfsGeneration generation, GError **error)
{
    JsonObject *arguments = one_word("name", name);

    cfs_generation_to_json(arguments, "generation", generation);
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "lease.release", arguments, CFS_TIMEOUT_MS, error);
    return ok != NULL;
}

/* ------------------------------------------------------------------ status keys */

bool
cfs_status_set(CfsClient *client, const char *key, const char *value, GError **error)
{
    JsonObject *arguments = one_word("key", key);

    json_object_set_string_member(arguments, "text", value);
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "status.set", arguments, CFS_TIMEOUT_MS, error);
    return ok != NULL;
}

char *
cfs_status_get(CfsClient *client, const char *node, const char *key, GError **error)
{
    JsonObject *arguments = one_word("key", key);

    if (node != NULL) {
        json_object_set_string_member(arguments, "node", node);
    }
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "status.get", arguments, CFS_TIMEOUT_MS, error);
    return ok != NULL ? g_strdup(q_json_string(ok, "text", "")) : NULL;
}

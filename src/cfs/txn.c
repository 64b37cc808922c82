#include "cfs/client.h"
#include "cfs/client_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct CfsTxn {
    JsonArray *conditions;
    JsonArray *changes;
};

/* ------------------------------------------------------------------ generations */

char *
cfs_generation_text(CfsGeneration generation)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT, generation.epoch,
                           generation.sequence);
}

bool
cfs_generation_parse(const char *text, CfsGeneration *generation)
{
    g_auto(GStrv) parts = g_strsplit(text, ".", 3);
    guint64 epoch, sequence;

    if (g_strv_length(parts) != 2
        || !g_ascii_string_to_unsigned(parts[0], 10, 0, G_MAXUINT64, &epoch, NULL)
        || !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT64, &sequence, NULL)) {
        return false;
    }
    *generation = (CfsGeneration){ epoch, sequence };
    return true;
}

int
cfs_generation_compare(CfsGeneration a, CfsGeneration b)
{
    if (a.epoch != b.epoch) {
        return a.epoch < b.epoch ? -1 : 1;
    }
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

CfsGeneration
cfs_generation_from_json(JsonObject *object, const char *name)
{
    JsonArray *pair = q_json_array(object, name);

    if (pair == NULL || json_array_get_length(pair) != 2) {
        return (CfsGeneration){ 0, 0 };
    }
    return (CfsGeneration){ json_array_get_int_element(pair, 0),
                            json_array_get_int_element(pair, 1) };
}

void
cfs_generation_to_json(JsonObject *object, const char *name, CfsGeneration generation)
{
    JsonArray *pair = json_array_new();

    json_array_add_int_element(pair, generation.epoch);
    json_array_add_int_element(pair, generation.sequence);
    json_object_set_array_member(object, name, pair);
}

/* ------------------------------------------------------------------ building */

CfsTxn *
cfs_txn_new(void)
{
    CfsTxn *txn = g_new0(CfsTxn, 1);

    txn->conditions = json_array_new();
    txn->changes = json_array_new();
    return txn;
}

void
cfs_txn_free(CfsTxn *txn)
{
    if (txn != NULL) {
        json_array_unref(txn->conditions);
        json_array_unref(txn->changes);
        g_free(txn);
    }
}

static JsonObject *
add_object(JsonArray *array)
{
    JsonObject *object = json_object_new();

    json_array_add_object_element(array, object);
    return object;
}

/* {"KEY": VALUE}: the word of a change or condition and what it is about. */
static JsonObject *
add_text(JsonArray *array, const char *key, const char *value)
{
    JsonObject *object = add_object(array);

    json_object_set_string_member(object, key, value);
    return object;
}

static JsonObject *
add_number(JsonArray *array, const char *key, int64_t value)
{
    JsonObject *object = add_object(array);

    json_object_set_int_member(object, key, value);
    return object;
}

static void
set_text_or_null(JsonObject *object, const char *name, const char *value)
{
    if (value != NULL) {
        json_object_set_string_member(object, name, value);
    } else {
        json_object_set_null_member(object, name);
    }
}

void
cfs_txn_if_version(CfsTxn *txn, const char *path, uint64_t version)
{
    JsonObject *condition = add_text(txn->conditions, "path", path);

    json_object_set_int_member(condition, "version", version);
}

void
cfs_txn_if_lease(CfsTxn *txn, const char *lease, CfsGeneration generation)
{
    cfs_generation_to_json(add_text(txn->conditions, "lease", lease), "generation", generation);
}

void
cfs_txn_if_fenced(CfsTxn *txn, const char *node, CfsGeneration generation)
{
    cfs_generation_to_json(add_text(txn->conditions, "fenced", node), "generation", generation);
}

void
cfs_txn_if_run(CfsTxn *txn, uint32_t vmid, const char *start_id)
{
    set_text_or_null(add_number(txn->conditions, "run", vmid), "start", start_id);
}

void
cfs_txn_if_dead(CfsTxn *txn, uint32_t vmid)
{
    add_number(txn->conditions, "dead", vmid);
}

void
cfs_txn_if_mig(CfsTxn *txn, uint32_t vmid, const char *mig_id)
{
    set_text_or_null(add_number(txn->conditions, "mig", vmid), "id", mig_id);
}

void
cfs_txn_create(CfsTxn *txn, const char *path, const char *text)
{
    cfs_json_set_bytes(add_text(txn->changes, "create", path), text, strlen(text));
}

void
cfs_txn_write(CfsTxn *txn, const char *path, const char *text)
{
    cfs_txn_write_bytes(txn, path, text, strlen(text));
}

void
cfs_txn_write_bytes(CfsTxn *txn, const char *path, const void *data, size_t length)
{
    cfs_json_set_bytes(add_text(txn->changes, "write", path), data, length);
}

void
cfs_txn_remove(CfsTxn *txn, const char *path)
{
    add_text(txn->changes, "remove", path);
}

void
cfs_txn_mkdir(CfsTxn *txn, const char *path)
{
    add_text(txn->changes, "mkdir", path);
}

void
cfs_txn_rename(CfsTxn *txn, const char *from, const char *to)
{
    JsonObject *change = add_object(txn->changes);
    JsonArray *pair = json_array_new();

    json_array_add_string_element(pair, from);
    json_array_add_string_element(pair, to);
    json_object_set_array_member(change, "rename", pair);
}

void
cfs_txn_run(CfsTxn *txn, uint32_t vmid, const char *node, const char *boot, const char *start_id,
            CfsGeneration guard)
{
    JsonObject *change = add_number(txn->changes, "run", vmid);

    json_object_set_string_member(change, "node", node);
    json_object_set_string_member(change, "boot", boot);
    json_object_set_string_member(change, "start", start_id);
    cfs_generation_to_json(change, "guard", guard);
}

void
cfs_txn_run_clear(CfsTxn *txn, uint32_t vmid)
{
    add_number(txn->changes, "run.clear", vmid);
}

void
cfs_txn_guard(CfsTxn *txn, uint32_t vmid, CfsGeneration guard)
{
    cfs_generation_to_json(add_number(txn->changes, "guard", vmid), "generation", guard);
}

void
cfs_txn_dead(CfsTxn *txn, uint32_t vmid, const char *statement)
{
    JsonObject *change = add_number(txn->changes, "dead", vmid);

    json_object_set_string_member(change, "statement", statement);
}

void
cfs_txn_lease_give(CfsTxn *txn, const char *node)
{
    add_text(txn->changes, "lease.give", node);
}

JsonObject *
cfs_txn_arguments(CfsTxn *txn)
{
    JsonObject *arguments = json_object_new();

    json_object_set_array_member(arguments, "if", json_array_ref(txn->conditions));
    json_object_set_array_member(arguments, "do", json_array_ref(txn->changes));
    cfs_txn_free(txn);
    return arguments;
}

bool
cfs_txn_commit(CfsClient *client, CfsTxn *txn, uint64_t *sequence, GError **error)
{
    g_autoptr(JsonObject) ok =
        cfs_client_call(client, "update", cfs_txn_arguments(txn), CFS_TIMEOUT_MS, error);

    if (ok == NULL) {
        return false;
    }
    if (sequence != NULL) {
        *sequence = q_json_int(ok, "sequence", 0);
    }
    return true;
}

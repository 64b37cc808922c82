#include "cfs/core/record.h"
#include <string.h>
#include "base/sorted.h"

struct Records {
    GHashTable *values; /* char * → GBytes */
    Digest digest;
};

Records *
records_new(void)
{
    Records *records = g_new0(Records, 1);

    records->values =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    return records;
}

Records *
records_copy(const Records *records)
{
    Records *copy = records_new();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, records->values);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(copy->values, g_strdup(key), g_bytes_ref(value));
    copy->digest = records->digest;
    return copy;
}

void
records_free(Records *records)
{
    if (records == NULL)
        return;
    g_hash_table_unref(records->values);
    g_free(records);
}

GBytes *
records_get(const Records *records, const char *key)
{
    return g_hash_table_lookup(records->values, key);
}

static Digest
row_digest(const char *key, GBytes *value)
{
    gsize length;
    const void *data = g_bytes_get_data(value, &length);

    return digest_chain(digest_bytes(key, strlen(key)), data, length);
}

void
records_set(Records *records, const char *key, GBytes *value)
{
    GBytes *old = records_get(records, key);

    if (old != NULL)
        records->digest = digest_remove(records->digest, row_digest(key, old));
    if (value == NULL) {
        g_hash_table_remove(records->values, key);
        return;
    }
    records->digest = digest_add(records->digest, row_digest(key, value));
    g_hash_table_insert(records->values, g_strdup(key), g_bytes_ref(value));
}

GPtrArray *
records_keys(const Records *records, const char *prefix)
{
    g_autoptr(GPtrArray) all = q_sorted_keys(records->values);
    GPtrArray *keys = g_ptr_array_new();

    for (guint i = 0; i < all->len; i++) {
        if (g_str_has_prefix(all->pdata[i], prefix))
            g_ptr_array_add(keys, all->pdata[i]);
    }
    return keys;
}

Digest
records_digest(const Records *records)
{
    return records->digest;
}

/* ------------------------------------------------------------------ parts of values */

void
generation_put(GByteArray *bytes, Generation generation)
{
    q_put_var(bytes, generation.epoch);
    q_put_var(bytes, generation.sequence);
}

Generation
generation_get(QReader *reader)
{
    Generation generation = { .epoch = q_get_var(reader) };

    generation.sequence = q_get_var(reader);
    return generation;
}

void
epoch_put(GByteArray *bytes, Epoch epoch)
{
    q_put_var(bytes, epoch.number);
    q_put_u64(bytes, epoch.plan);
}

Epoch
epoch_get(QReader *reader)
{
    Epoch epoch = { .number = q_get_var(reader) };

    epoch.plan = q_get_u64(reader);
    return epoch;
}

void
digest_put(GByteArray *bytes, Digest digest)
{
    q_put_u64(bytes, digest.a);
    q_put_u64(bytes, digest.b);
}

Digest
digest_get(QReader *reader)
{
    Digest digest = { .a = q_get_u64(reader) };

    digest.b = q_get_u64(reader);
    return digest;
}

void
record_key(char *key, size_t size, const char *kind, const char *name)
{
    g_snprintf(key, size, "%s/%s", kind, name);
}

void
record_key_number(char *key, size_t size, const char *kind, uint32_t number)
{
    g_snprintf(key, size, "%s/%u", kind, number);
}

/* ------------------------------------------------------------------ reading */

static bool
open_record(const Records *records, const char *kind, const char *name, QReader *reader)
{
    char key[RECORD_TEXT_MAX];

    record_key(key, sizeof key, kind, name);
    GBytes *value = records_get(records, key);
    if (value == NULL)
        return false;
    q_reader_init_bytes(reader, value);
    return true;
}

static bool
open_number(const Records *records, const char *kind, uint32_t number, QReader *reader)
{
    char name[16];

    g_snprintf(name, sizeof name, "%u", number);
    return open_record(records, kind, name, reader);
}

static bool
close_record(const QReader *reader, void *out, size_t size)
{
    if (q_reader_done(reader))
        return true;
    memset(out, 0, size);
    return false;
}

bool
record_lease(const Records *records, const char *name, LeaseRecord *out)
{
    QReader reader;

    memset(out, 0, sizeof *out);
    if (!open_record(records, "lease", name, &reader))
        return false;
    out->state = q_get_u8(&reader);
    out->generation = generation_get(&reader);
    out->node_id = q_get_u32(&reader);
    out->hold_ms = q_get_svar(&reader);
    out->lapse_ms = q_get_svar(&reader);
    q_get_text_into(&reader, out->node, sizeof out->node);
    q_get_text_into(&reader, out->boot, sizeof out->boot);
    q_get_text_into(&reader, out->process, sizeof out->process);
    if (out->state > LEASE_FENCED)
        reader.failed = true;
    return close_record(&reader, out, sizeof *out);
}

bool
record_run(const Records *records, uint32_t vmid, RunRecord *out)
{
    QReader reader;

    memset(out, 0, sizeof *out);
    if (!open_number(records, "run", vmid, &reader))
        return false;
    q_get_text_into(&reader, out->node, sizeof out->node);
    q_get_text_into(&reader, out->boot, sizeof out->boot);
    q_get_text_into(&reader, out->start_id, sizeof out->start_id);
    out->guard = generation_get(&reader);
    return close_record(&reader, out, sizeof *out);
}

bool
record_mig(const Records *records, uint32_t vmid, MigRecord *out)
{
    QReader reader;

    memset(out, 0, sizeof *out);
    if (!open_number(records, "mig", vmid, &reader))
        return false;
    q_get_text_into(&reader, out->mig_id, sizeof out->mig_id);
    q_get_text_into(&reader, out->start_id, sizeof out->start_id);
    q_get_text_into(&reader, out->target, sizeof out->target);
    q_get_text_into(&reader, out->target_boot, sizeof out->target_boot);
    q_get_text_into(&reader, out->phase, sizeof out->phase);
    return close_record(&reader, out, sizeof *out);
}

bool
record_off(const Records *records, const char *node, OffRecord *out)
{
    QReader reader;

    memset(out, 0, sizeof *out);
    if (!open_record(records, "off", node, &reader))
        return false;
    q_get_text_into(&reader, out->boot, sizeof out->boot);
    out->manager = generation_get(&reader);
    out->deadline_s = q_get_svar(&reader);
    out->state = q_get_u8(&reader);
    return close_record(&reader, out, sizeof *out);
}

bool
record_dead(const Records *records, uint32_t vmid, DeadRecord *out)
{
    QReader reader;

    memset(out, 0, sizeof *out);
    if (!open_number(records, "dead", vmid, &reader))
        return false;
    q_get_text_into(&reader, out->start_id, sizeof out->start_id);
    q_get_text_into(&reader, out->statement, sizeof out->statement);
    return close_record(&reader, out, sizeof *out);
}

bool
record_sender(const Records *records, uint32_t node_id, SenderRecord *out)
{
    QReader reader;

    memset(out, 0, offsetof(SenderRecord, results));
    if (!open_number(records, "sender", node_id, &reader))
        return false;
    out->incarnation = q_get_u64(&reader);
    q_get_text_into(&reader, out->boot, sizeof out->boot);
    out->last = q_get_var(&reader);
    out->n_results = q_get_count(&reader, 3);
    if (out->n_results > SENDER_RESULTS_MAX) {
        reader.failed = true;
        out->n_results = 0;
    }
    for (size_t i = 0; i < out->n_results; i++) {
        out->results[i].code = q_get_u8(&reader);
        out->results[i].which = (uint16_t)q_get_var(&reader);
        out->results[i].sequence = q_get_var(&reader);
    }
    return close_record(&reader, out, sizeof *out);
}

bool
record_epochs(const Records *records, EpochsRecord *out)
{
    GBytes *value = records_get(records, "epochs");
    QReader reader;

    memset(out, 0, sizeof *out);
    if (value == NULL)
        return false;
    q_reader_init_bytes(&reader, value);
    size_t n = q_get_count(&reader, 10);

    out->n = MIN(n, EPOCHS_MAX);
    for (size_t i = 0; i < out->n; i++) {
        out->begins[i].epoch = epoch_get(&reader);
        out->begins[i].base = q_get_var(&reader);
    }
    return close_record(&reader, out, sizeof *out);
}

/* ------------------------------------------------------------------ writing */

static GBytes *
finish(GByteArray *bytes)
{
    return g_byte_array_free_to_bytes(bytes);
}

GBytes *
lease_record_encode(const LeaseRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_u8(bytes, record->state);
    generation_put(bytes, record->generation);
    q_put_u32(bytes, record->node_id);
    q_put_svar(bytes, record->hold_ms);
    q_put_svar(bytes, record->lapse_ms);
    q_put_text(bytes, record->node);
    q_put_text(bytes, record->boot);
    q_put_text(bytes, record->process);
    return finish(bytes);
}

GBytes *
run_record_encode(const RunRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_text(bytes, record->node);
    q_put_text(bytes, record->boot);
    q_put_text(bytes, record->start_id);
    generation_put(bytes, record->guard);
    return finish(bytes);
}

GBytes *
mig_record_encode(const MigRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_text(bytes, record->mig_id);
    q_put_text(bytes, record->start_id);
    q_put_text(bytes, record->target);
    q_put_text(bytes, record->target_boot);
    q_put_text(bytes, record->phase);
    return finish(bytes);
}

GBytes *
off_record_encode(const OffRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_text(bytes, record->boot);
    generation_put(bytes, record->manager);
    q_put_svar(bytes, record->deadline_s);
    q_put_u8(bytes, record->state);
    return finish(bytes);
}

GBytes *
dead_record_encode(const DeadRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_text(bytes, record->start_id);
    q_put_text(bytes, record->statement);
    return finish(bytes);
}

GBytes *
sender_record_encode(const SenderRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_u64(bytes, record->incarnation);
    q_put_text(bytes, record->boot);
    q_put_var(bytes, record->last);
    q_put_var(bytes, record->n_results);
    for (size_t i = 0; i < record->n_results; i++) {
        q_put_u8(bytes, record->results[i].code);
        q_put_var(bytes, record->results[i].which);
        q_put_var(bytes, record->results[i].sequence);
    }
    return finish(bytes);
}

GBytes *
epochs_record_encode(const EpochsRecord *record)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_var(bytes, record->n);
    for (size_t i = 0; i < record->n; i++) {
        epoch_put(bytes, record->begins[i].epoch);
        q_put_var(bytes, record->begins[i].base);
    }
    return finish(bytes);
}

/* ------------------------------------------------------------------ S34 */

/* Each node's boot, as its last update of another boot than before said. Boots do not return. */
static bool
node_booted_anew(const Records *records, const RunRecord *run)
{
    char key[RECORD_TEXT_MAX];

    record_key(key, sizeof key, "boot", run->node);
    GBytes *value = records_get(records, key);
    if (value == NULL)
        return false;
    gsize length;
    const char *boot = g_bytes_get_data(value, &length);
    return length != strlen(run->boot) || memcmp(boot, run->boot, length) != 0;
}

bool
record_run_dead(const Records *records, uint32_t vmid, const RunRecord *run)
{
    char name[RECORD_TEXT_MAX];
    LeaseRecord lease;
    OffRecord off;
    DeadRecord dead;

    g_snprintf(name, sizeof name, "ha_agent_%s_lock", run->node);
    if (!generation_is_none(run->guard) && record_lease(records, name, &lease)
        && generation_compare(run->guard, lease.generation) < 0)
        return true;
    if (record_off(records, run->node, &off) && off.state == OFF_DONE
        && strcmp(off.boot, run->boot) == 0)
        return true;
    if (record_dead(records, vmid, &dead) && strcmp(dead.start_id, run->start_id) == 0)
        return true;
    return node_booted_anew(records, run);
}

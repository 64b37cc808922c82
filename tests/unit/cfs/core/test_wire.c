#include <string.h>
#include "base/random.h"
#include "base/wire.h"
#include "bench.h"

/* Any bytes: numbers come back, and no message, whole or broken, brings a replica down. */

static void
test_numbers(void)
{
    static const uint64_t values[] = { 0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX };

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        QReader reader;
        q_put_var(bytes, values[i]);
        q_put_svar(bytes, (int64_t)values[i]);
        q_put_svar(bytes, -(int64_t)(values[i] / 2));
        q_put_u64(bytes, values[i]);
        q_put_text(bytes, "text");
        q_reader_init(&reader, bytes->data, bytes->len);
        g_assert_cmpuint(q_get_var(&reader), ==, values[i]);
        g_assert_cmpint(q_get_svar(&reader), ==, (int64_t)values[i]);
        g_assert_cmpint(q_get_svar(&reader), ==, -(int64_t)(values[i] / 2));
        g_assert_cmpuint(q_get_u64(&reader), ==, values[i]);
        g_autofree char *text = q_get_text(&reader, 10);
        g_assert_cmpstr(text, ==, "text");
        g_assert_true(q_reader_done(&reader));
        q_get_u8(&reader);
        g_assert_true(reader.failed);
    }
}

static void
test_seal(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    QReader reader;

    q_put_text(bytes, "sealed");
    q_wire_seal(bytes);
    g_assert_true(q_wire_open(&reader, bytes->data, bytes->len));
    for (guint i = 0; i < bytes->len; i++) {
        bytes->data[i] ^= 4;
        g_assert_false(q_wire_open(&reader, bytes->data, bytes->len));
        bytes->data[i] ^= 4;
    }
    g_assert_false(q_wire_open(&reader, bytes->data, 7));
}

/* SipHash-2-4-128 of 00 01 02 … would be the paper's only under its key; ours: stable, and apart.
 */
static void
test_hash_differs(void)
{
    uint64_t a[2], b[2], c[2];

    q_hash128("abc", 3, 0, a);
    q_hash128("abd", 3, 0, b);
    q_hash128("abc", 3, 1, c);
    g_assert_true(a[0] != b[0] && a[1] != b[1] && a[0] != c[0]);
}

static GBytes *
mutate(QRandom *random, GBytes *message)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gsize length;
    const uint8_t *data = g_bytes_get_data(message, &length);

    g_byte_array_append(bytes, data, (guint)length);
    for (int n = (int)q_random_below(random, 6); n >= 0; n--) {
        guint at = (guint)q_random_below(random, bytes->len);
        switch (q_random_below(random, 4)) {
        case 0:
            bytes->data[at] ^= (uint8_t)(1u << q_random_below(random, 8));
            break;
        case 1:
            bytes->data[at] = (uint8_t)q_random_next(random);
            break;
        case 2:
            if (bytes->len > 1)
                g_byte_array_remove_range(bytes, at,
                                          1 + (guint)q_random_below(random, bytes->len - at));
            if (bytes->len == 0)
                q_put_u8(bytes, 0);
            break;
        default:
            q_put_u8(bytes, (uint8_t)q_random_next(random));
        }
    }
    if (q_random_chance(random, 0.8) && bytes->len > 8) {
        g_byte_array_set_size(bytes, bytes->len - 8); /* a good seal over bad bytes: gets in */
        q_wire_seal(bytes);
    }
    return g_bytes_new(bytes->data, bytes->len);
}

static void
fill(Bench *bench)
{
    Update *update = update_new();
    UpdateResult taken = bench_lease(bench, &(LeaseOp){ .kind = LEASE_TAKE,
                                                        .name = "ha_manager_lock",
                                                        .process = "p",
                                                        .hold_ms = 4000,
                                                        .lapse_ms = 8000 });

    bench_write(bench, "f", "content");
    update_mkdir(update, "d");
    update_rename(update, "f", "d/f");
    update_if_lease(update, "ha_manager_lock", taken.generation);
    update_run(update, 100, "node1", "boot-1", "s", taken.generation);
    bench_update(bench, update);
    bench_lease(bench, &(LeaseOp){ .kind = LEASE_RENEW,
                                   .name = "ha_manager_lock",
                                   .generation = taken.generation,
                                   .sent_ms = 1 });
}

static void
feed(Bench *bench, GBytes *message, bool bulk)
{
    gsize length;
    const void *data = g_bytes_get_data(message, &length);

    bench_step(bench, (ReplicaInput){ .kind = bulk ? REPLICA_BULK : REPLICA_MESSAGE,
                                      .message = { 1, data, length } });
}

/* What the replica itself has said, spoilt and told to it again, in the middle of its work. */
static void
test_any_bytes(void)
{
    QRandom random;

    q_random_seed(&random, 7);
    for (int round = 0; round < 40; round++) {
        g_autoptr(Bench) bench = bench_new(true);
        fill(bench);
        for (int i = 0; i < 250; i++) {
            g_autoptr(GBytes) message =
                mutate(&random, bench->sent->pdata[q_random_below(&random, bench->sent->len)]);
            feed(bench, message, q_random_chance(&random, 0.1));
            if (bench->sent->len > 200)
                g_ptr_array_remove_range(bench->sent, 100, bench->sent->len - 100);
        }
        /* It goes on: in a new view everything forms again, and the disk is one that can be read.
         */
        static const uint32_t self = 1;
        bench_step(bench, (ReplicaInput){ .kind = REPLICA_VIEW, .view = { &self, 1 } });
        bench_restart(bench);
        g_assert_cmpint(replica_quorum(bench->replica).state, ==, QUORUM_YES);
        g_assert_cmpint(bench_write(bench, "after", "1"), ==, UPDATE_DONE);
    }
}

/* Rows of a database that is not what we wrote: refused with a reason, never a crash. */
static void
test_any_rows(void)
{
    QRandom random;
    guint refused = 0;

    q_random_seed(&random, 11);
    g_autoptr(Bench) bench = bench_new(true);
    fill(bench);
    for (int i = 0; i < 400; i++) {
        g_autoptr(GPtrArray) entries = g_ptr_array_new();
        g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
        g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(GError) error = NULL;
        GHashTableIter iter;
        gpointer key, value;
        g_hash_table_iter_init(&iter, bench->entries);
        while (g_hash_table_iter_next(&iter, NULL, &value))
            g_ptr_array_add(entries, value);
        g_hash_table_iter_init(&iter, bench->rows);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
            GBytes *spoilt =
                q_random_chance(&random, 0.2) ? mutate(&random, value) : g_bytes_ref(value);
            StoreRow row = { key, spoilt };
            g_ptr_array_add(kept, spoilt);
            g_array_append_val(rows, row);
        }
        g_autoptr(Replica) replica = replica_new(&(ReplicaSetup){ .node_id = 1,
                                                                  .node = "node1",
                                                                  .boot = "b",
                                                                  .incarnation = 5,
                                                                  .seed = 5,
                                                                  .entries = entries,
                                                                  .version = bench->figures.version,
                                                                  .rows = rows },
                                                 &error);
        g_assert_true((replica == NULL) == (error != NULL));
        refused += replica == NULL;
    }
    g_assert_cmpuint(refused, >, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/core/wire/numbers", test_numbers);
    g_test_add_func("/cfs/core/wire/seal", test_seal);
    g_test_add_func("/cfs/core/wire/hash", test_hash_differs);
    g_test_add_func("/cfs/core/wire/any-bytes", test_any_bytes);
    g_test_add_func("/cfs/core/wire/any-rows", test_any_rows);
    return g_test_run();
}

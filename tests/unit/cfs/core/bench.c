#include "bench.h"
#include <string.h>

static void
apply(Bench *bench, const StoreWrite *write)
{
    if (write->whole) {
        g_hash_table_remove_all(bench->entries);
        g_hash_table_remove_all(bench->rows);
    }
    for (guint i = 0; i < write->removed->len; i++)
        g_hash_table_remove(bench->entries, &g_array_index(write->removed, uint64_t, i));
    for (guint i = 0; i < write->entries->len; i++) {
        TreeEntry *entry = write->entries->pdata[i];
        g_hash_table_replace(bench->entries, g_memdup2(&entry->inode, sizeof entry->inode),
                             tree_entry_ref(entry));
    }
    for (guint i = 0; i < write->rows->len; i++) {
        StoreRow *row = &g_array_index(write->rows, StoreRow, i);
        if (row->value == NULL)
            g_hash_table_remove(bench->rows, row->key);
        else
            g_hash_table_replace(bench->rows, g_strdup(row->key), g_bytes_ref(row->value));
    }
    bench->figures = write->figures;
}

static void
step_once(Bench *bench, ReplicaInput *input, GQueue *next)
{
    g_autoptr(GArray) effects = replica_effects_new();

    bench->now_ms++;
    input->now = (Clocks){ bench->now_ms, bench->now_ms, bench->now_ms, 1800000000 };
    replica_step(bench->replica, input, effects);
    for (guint i = 0; i < effects->len; i++) {
        ReplicaEffect *effect = &g_array_index(effects, ReplicaEffect, i);
        ReplicaInput again = { 0 };
        switch (effect->kind) {
        case EFFECT_PERSIST:
            if (!bench->disk_fails)
                apply(bench, effect->persist.write);
            again.kind = REPLICA_PERSISTED;
            again.persisted.token = effect->persist.token;
            again.persisted.failed = bench->disk_fails;
            g_queue_push_tail(next, g_memdup2(&again, sizeof again));
            break;
        case EFFECT_MULTICAST:
            g_ptr_array_add(bench->sent, g_bytes_ref(effect->message));
            again.kind = REPLICA_MESSAGE;
            again.message.node_id = 1;
            again.message.data = g_bytes_get_data(effect->message, &again.message.length);
            g_queue_push_tail(next, g_memdup2(&again, sizeof again));
            break;
        case EFFECT_ANSWER:
            bench->answer = effect->answer.result;
            bench->answered = true;
            break;
        case EFFECT_VISIBLE:
            bench->visible++;
            break;
        default:
            break;
        }
    }
}

void
bench_step(Bench *bench, ReplicaInput input)
{
    GQueue next = G_QUEUE_INIT;

    g_queue_push_tail(&next, g_memdup2(&input, sizeof input));
    for (int left = 1000; left > 0 && !g_queue_is_empty(&next); left--) {
        g_autofree ReplicaInput *one = g_queue_pop_head(&next);
        step_once(bench, one, &next);
        if (g_queue_is_empty(&next)) {
            ReplicaInput idle = { .kind = REPLICA_IDLE };
            step_once(bench, &idle, &next);
        }
    }
    g_queue_clear_full(&next, g_free);
}

static int
by_inode(gconstpointer a, gconstpointer b)
{
    const TreeEntry *x = *(TreeEntry *const *)a, *y = *(TreeEntry *const *)b;

    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void
start(Bench *bench)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new();
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
    g_autoptr(GError) error = NULL;
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, bench->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(entries, value);
    g_ptr_array_sort(entries, by_inode);
    g_hash_table_iter_init(&iter, bench->rows);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        StoreRow row = { key, value };
        g_array_append_val(rows, row);
    }
    bench->starts++;
    bench->replica = replica_new(&(ReplicaSetup){ .node_id = 1,
                                                  .node = "node1",
                                                  .boot = "boot-1",
                                                  .incarnation = 1000 + bench->starts,
                                                  .seed = bench->starts,
                                                  .entries = entries,
                                                  .version = bench->figures.version,
                                                  .writer = bench->figures.writer,
                                                  .mtime_s = bench->figures.mtime_s,
                                                  .rows = rows },
                                 &error);
    g_assert_no_error(error);
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_START });
    if (!replica_alone(bench->replica)) {
        static const uint32_t self = 1;
        bench_step(bench, (ReplicaInput){ .kind = REPLICA_FLAG, .flag = true });
        bench_step(bench, (ReplicaInput){ .kind = REPLICA_VIEW, .view = { &self, 1 } });
    }
}

Bench *
bench_new(bool cluster)
{
    static const char conf[] = "nodelist {\n node {\n name: node1\n nodeid: 1\n }\n}\n";
    Bench *bench = g_new0(Bench, 1);

    bench->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                           (GDestroyNotify)tree_entry_unref);
    bench->rows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    bench->sent = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    if (cluster) {
        uint64_t inode = 1;
        TreeEntry *entry = tree_entry_new(inode, TREE_ROOT, 1, 1, 0, TREE_FILE, "corosync.conf",
                                          g_bytes_new_static(conf, strlen(conf)));
        g_hash_table_insert(bench->entries, g_memdup2(&inode, sizeof inode), entry);
        bench->figures.version = 1;
    }
    start(bench);
    return bench;
}

void
bench_free(Bench *bench)
{
    replica_free(bench->replica);
    g_hash_table_unref(bench->entries);
    g_hash_table_unref(bench->rows);
    g_ptr_array_unref(bench->sent);
    g_free(bench);
}

void
bench_restart(Bench *bench)
{
    replica_free(bench->replica);
    start(bench);
}

UpdateResult
bench_update(Bench *bench, Update *update)
{
    bench->answered = false;
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_REQUEST,
                                      .request = { .client = 1, .id = 1, .update = update } });
    if (!bench->answered)
        bench->answer = (UpdateResult){ .code = UPDATE_UNKNOWN };
    return bench->answer;
}

UpdateResult
bench_lease(Bench *bench, const LeaseOp *op)
{
    bench->answered = false;
    bench_step(bench, (ReplicaInput){ .kind = REPLICA_LEASE,
                                      .request = { .client = 1, .id = 1, .op = op } });
    for (int ticks = 0; ticks < 20 && !bench->answered; ticks++) {
        bench->now_ms += 10;
        bench_step(bench, (ReplicaInput){ .kind = REPLICA_TICK });
    }
    g_assert_true(bench->answered);
    return bench->answer;
}

UpdateCode
bench_write(Bench *bench, const char *path, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    Update *update = update_new();

    update_write(update, path, bytes);
    return bench_update(bench, update).code;
}

char *
bench_read(Bench *bench, const char *path)
{
    const TreeEntry *entry = tree_lookup(replica_tree(bench->replica), path);

    if (entry == NULL || entry->data == NULL)
        return NULL;
    gsize length;
    const char *data = g_bytes_get_data(entry->data, &length);
    return g_strndup(length > 0 ? data : "", length);
}

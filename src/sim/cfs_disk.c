#include "sim/cfs_point.h"
#include "sim/cfs_world_priv.h"

/*
 * A disk executes one transaction after the other. After a crash the one under way is there or
 * not, later ones are not. After an error its data may be gone although later writes succeed
 * (S16), until a complete new file is written.
 */

typedef struct {
    uint64_t token;
    uint64_t process;
    StoreWrite *write;
} Write;

static void
write_free(gpointer data)
{
    Write *item = data;

    store_write_free(item->write);
    g_free(item);
}

void
sim_disk_init(SimDisk *disk)
{
    disk->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                          (GDestroyNotify)tree_entry_unref);
    disk->rows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    disk->figures = (TreeFigures){ 0 };
    g_queue_init(&disk->writes);
}

void
sim_disk_clear(SimDisk *disk)
{
    g_queue_clear_full(&disk->writes, write_free);
    g_hash_table_unref(disk->entries);
    g_hash_table_unref(disk->rows);
}

void
sim_disk_copy(SimDisk *to, const SimDisk *from)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_remove_all(to->entries);
    g_hash_table_remove_all(to->rows);
    g_hash_table_iter_init(&iter, from->entries);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_insert(to->entries, g_memdup2(key, sizeof(uint64_t)), tree_entry_ref(value));
    }
    g_hash_table_iter_init(&iter, from->rows);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_hash_table_insert(to->rows, g_strdup(key), g_bytes_ref(value));
    }
    to->figures = from->figures;
}

static void
apply(SimDisk *disk, const StoreWrite *write)
{
    if (write->whole) {
        g_hash_table_remove_all(disk->entries);
        g_hash_table_remove_all(disk->rows);
    }
    for (guint i = 0; i < write->removed->len; i++) {
        g_hash_table_remove(disk->entries, &g_array_index(write->removed, uint64_t, i));
    }
    for (guint i = 0; i < write->entries->len; i++) {
        TreeEntry *entry = write->entries->pdata[i];
        g_hash_table_replace(disk->entries, g_memdup2(&entry->inode, sizeof entry->inode),
                             tree_entry_ref(entry));
    }
    for (guint i = 0; i < write->rows->len; i++) {
        StoreRow *row = &g_array_index(write->rows, StoreRow, i);
        if (row->value == NULL) {
            g_hash_table_remove(disk->rows, row->key);
        } else {
            g_hash_table_replace(disk->rows, g_strdup(row->key), g_bytes_ref(row->value));
        }
    }
    disk->figures = write->figures;
    if (write->new_file || write->whole) {
        disk->poisoned = disk->broken = false;
    }
    disk->broken = disk->broken || disk->poisoned;
}

static int64_t
duration_us(SimNode *node)
{
    QRandom *random = &node->world->random;

    return node->disk.slow ? q_random_between(random, 50 * SIM_MS, 1500 * SIM_MS)
                           : q_random_between(random, 300, 4 * SIM_MS);
}

static void on_done(SimWorld *world, gpointer data, uint64_t token);

static void
begin_next(SimNode *node)
{
    if (!g_queue_is_empty(&node->disk.writes)) {
        Write *next = g_queue_peek_head(&node->disk.writes);
        sim_at(node->world, node->world->now_us + duration_us(node), on_done, node, next->token);
    }
}

static void
on_done(SimWorld *world, gpointer data, uint64_t token)
{
    SimNode *node = data;
    SimDisk *disk = &node->disk;
    Write *item = g_queue_peek_head(&disk->writes);

    if (item == NULL || item->token != token || item->process != node->process) {
        return;
    }
    if (disk->hanging || node->frozen) {
        sim_at(world, world->now_us + 50 * SIM_MS, on_done, node, token);
        return;
    }
    g_queue_pop_head(&disk->writes);
    bool failed = disk->failing;
    if (failed) {
        /* Nobody knows what of it is there, and asking again does not help. */
        bool before = disk->poisoned;
        disk->poisoned = true;
        if (q_random_chance(&world->random, 0.5)) {
            disk->poisoned = before; /* all of it is there, although nobody was told */
            apply(disk, item->write);
        }
    } else {
        apply(disk, item->write);
    }
    if (world->hooks.persisted != NULL) {
        world->hooks.persisted(world, node);
    }
    write_free(item);
    begin_next(node);
    ReplicaInput input = { .kind = REPLICA_PERSISTED,
                           .persisted = { .token = token, .failed = failed } };
    if (node->stopped) {
        /* The answer waits in the process's main loop. */
        g_queue_push_tail(&node->inbox, g_memdup2(&input, sizeof input));
    } else {
        sim_step(node, &input);
    }
}

void
sim_disk_write(SimNode *node, uint64_t token, StoreWrite *write)
{
    Write *item = g_new(Write, 1);

    sim_trace(node->world, "%s writes %lu%s", node->name, (unsigned long)token,
              write->new_file ? ", a new file" : "");
    *item = (Write){ token, node->process, write };
    g_queue_push_tail(&node->disk.writes, item);
    if (node->disk.writes.length == 1) {
        begin_next(node);
    }
}

void
sim_disk_crash(SimNode *node)
{
    SimDisk *disk = &node->disk;
    Write *first = g_queue_pop_head(&disk->writes);

    if (first != NULL && !disk->failing && q_random_chance(&node->world->random, 0.5)) {
        apply(disk, first->write);
        if (node->world->hooks.persisted != NULL) {
            node->world->hooks.persisted(node->world, node);
        }
    }
    if (first != NULL) {
        write_free(first);
    }
    g_queue_clear_full(&disk->writes, write_free);
}

void
sim_disk_reinstall(SimNode *node)
{
    g_assert(node->replica == NULL);
    SimPoint point;
    sim_trace(node->world, "%s disk reinstalled", node->name);
    node->disk.wiped_at = sim_point_of(&node->disk, &point) ? point.sequence : 0;
    g_queue_clear_full(&node->disk.writes, write_free);
    g_hash_table_remove_all(node->disk.entries);
    g_hash_table_remove_all(node->disk.rows);
    node->disk.figures = (TreeFigures){ 0 };
    node->disk.poisoned = node->disk.broken = false;
    node->disk.fresh = true;
}

/* In the order of inodes and keys: what is born must not depend on a hash table. */
static int
compare_entries(gconstpointer a, gconstpointer b)
{
    const TreeEntry *x = *(TreeEntry *const *)a, *y = *(TreeEntry *const *)b;

    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int
compare_rows(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(((const StoreRow *)a)->key, ((const StoreRow *)b)->key);
}

Replica *
sim_disk_load(SimNode *node, GError **error)
{
    SimDisk *disk = &node->disk;
    g_autoptr(GPtrArray) entries = g_ptr_array_new();
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
    g_autofree char *boot = g_strdup_printf("boot-%s-%u", node->name, node->boots);
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, disk->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(entries, value);
    }
    g_ptr_array_sort(entries, compare_entries);
    g_hash_table_iter_init(&iter, disk->rows);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        StoreRow row = { key, value };
        g_array_append_val(rows, row);
    }
    g_array_sort(rows, compare_rows);
    return replica_new(
        &(ReplicaSetup){
            .node_id = node->id,
            .node = node->name,
            .boot = boot,
            .incarnation = q_random_id(&node->world->random),
            .seed = q_random_id(&node->world->random),
            .suspect = disk->poisoned,
            .join = entries->len == 0 && rows->len == 0,
            .entries = entries,
            .version = disk->figures.version,
            .writer = disk->figures.writer,
            .mtime_s = disk->figures.mtime_s,
            .rows = rows,
        },
        error);
}

#include <string.h>
#include "sim/cfs_check.h"
#include "sim/cfs_point.h"

typedef struct {
    char *content;
    uint64_t sequence; /* 0: not acknowledged, may be anywhere in the history or nowhere */
} Value;

typedef struct {
    int64_t at_us;
    uint64_t highest; /* sequence of all acknowledged up to then */
} Acknowledged;

typedef struct {
    Generation generation; /* newest grant that anybody was told of */
    uint32_t holder;
    bool released;
    int64_t seen_us;  /* when its grant first showed anywhere */
    int64_t heard_us; /* when its newest heard renewal was sent */
} Lease;

typedef struct {
    GHashTable *paths;      /* char * → GArray of Value */
    GArray *acknowledged;   /* Acknowledged, by time */
    GHashTable *history;    /* uint64_t * sequence → Digest *: what readers saw */
    GHashTable *accepted;   /* char * "installed/sequence" → Digest *: what disks hold */
    GHashTable *leases;     /* char * → Lease */
    GHashTable *first_seen; /* char * "lease/E.S" → int64_t *: when a grant became visible */
    uint64_t visible[SIM_NODES_MAX];
    uint64_t process[SIM_NODES_MAX];
    SimPoint points[SIM_NODES_MAX]; /* of the disks, as last looked at */
    GHashTable *promises;           /* char * "number/plan" → GUINT mask of nodes */
    SimHolds holds;
} Check;

enum { RATE_ERROR_PER_MILLE = 5, LAPSE_MS = 8000, KNOWN_BYTES = 40 };

void
sim_check_new(SimWorld *world)
{
    Check *check = g_new0(Check, 1);

    check->paths =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
    check->acknowledged = g_array_new(FALSE, FALSE, sizeof(Acknowledged));
    check->history = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    check->accepted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    check->leases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    check->first_seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    check->promises = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        sim_point_of(&world->nodes[n].disk, &check->points[n]);
    }
    world->check = check;
}

void
sim_check_free(SimWorld *world)
{
    Check *check = world->check;

    g_hash_table_unref(check->paths);
    g_array_unref(check->acknowledged);
    g_hash_table_unref(check->history);
    g_hash_table_unref(check->accepted);
    g_hash_table_unref(check->leases);
    g_hash_table_unref(check->first_seen);
    g_hash_table_unref(check->promises);
    g_free(check);
}

void
sim_check_set_holds(SimWorld *world, SimHolds holds)
{
    ((Check *)world->check)->holds = holds;
}

static void
value_clear(gpointer data)
{
    g_free(((Value *)data)->content);
}

/* The place of a content in the history becomes known, or that it never will be in it. */
static void
settle_value(Check *check, const char *path, const char *content, bool done, uint64_t sequence)
{
    GArray *values = g_hash_table_lookup(check->paths, path);

    for (guint i = 0; i < values->len; i++) {
        Value *value = &g_array_index(values, Value, i);
        if (strncmp(value->content, content, KNOWN_BYTES) != 0) {
            continue;
        }
        if (done) {
            value->sequence = sequence;
        } else {
            g_array_remove_index_fast(values, i);
        }
        return;
    }
}

void
sim_check_called(SimWorld *world, const char *path, const char *content)
{
    Check *check = world->check;
    GArray *values = g_hash_table_lookup(check->paths, path);

    if (values == NULL) {
        values = g_array_new(FALSE, FALSE, sizeof(Value));
        g_array_set_clear_func(values, value_clear);
        g_hash_table_insert(check->paths, g_strdup(path), values);
    }
    Value value = { g_strndup(content, KNOWN_BYTES), 0 };
    g_array_append_val(values, value);
}

/* Is this content of @path as new as @sequence, or one whose place nobody was told? */
static bool
new_enough(Check *check, const char *path, GBytes *bytes, uint64_t sequence)
{
    GArray *values = g_hash_table_lookup(check->paths, path);
    gsize length = 0;
    const char *content = bytes != NULL ? g_bytes_get_data(bytes, &length) : NULL;

    for (guint i = 0; content != NULL && i < values->len; i++) {
        const Value *value = &g_array_index(values, Value, i);
        size_t known = strlen(value->content);
        if (known <= length && strncmp(content, value->content, known) == 0) {
            return value->sequence == 0 || value->sequence >= sequence;
        }
    }
    return false;
}

static uint64_t
newest(Check *check, const char *path)
{
    GArray *values = g_hash_table_lookup(check->paths, path);
    uint64_t sequence = 0;

    for (guint i = 0; values != NULL && i < values->len; i++) {
        sequence = MAX(sequence, g_array_index(values, Value, i).sequence);
    }
    return sequence;
}

/* ------------------------------------------------------------------ what disks hold */

static GBytes *
disk_content(const SimDisk *disk, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    uint64_t at = TREE_ROOT;
    TreeEntry *found = NULL;

    for (int i = 0; parts[i] != NULL; i++) {
        GHashTableIter iter;
        gpointer value;
        found = NULL;
        g_hash_table_iter_init(&iter, disk->entries);
        while (found == NULL && g_hash_table_iter_next(&iter, NULL, &value)) {
            TreeEntry *entry = value;
            if (entry->parent == at && strcmp(entry->name, parts[i]) == 0) {
                found = entry;
            }
        }
        if (found == NULL) {
            return NULL;
        }
        at = found->inode;
    }
    return found->data;
}

static bool
disk_counts(const SimNode *node)
{
    return !node->disk.fresh && !node->disk.broken;
}

/* Invariant 9: what was acknowledged lay on a majority of the disks. One that was wiped since it
 * said so has not lied. */
static void
check_majority_has(SimWorld *world, const char *path, uint64_t sequence)
{
    Check *check = world->check;
    guint have = 0;

    for (uint32_t n = 0; n < world->n_nodes; n++) {
        GBytes *bytes = disk_content(&world->nodes[n].disk, path);
        const SimDisk *disk = &world->nodes[n].disk;
        have += disk->fresh ? disk->wiped_at >= sequence
                            : !disk->broken && new_enough(check, path, bytes, sequence);
    }
    if (have * 2 <= world->n_nodes) {
        sim_violate(world, 9, "'%s' at %lu was acknowledged, and lies on %u of %u disks", path,
                    (unsigned long)sequence, have, world->n_nodes);
    }
}

static int
compare_points(const SimPoint *a, const SimPoint *b)
{
    if (a->installed.number != b->installed.number) {
        return a->installed.number < b->installed.number ? -1 : 1;
    }
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

/* Invariant 3: from whatever majority the next epoch is formed, its winner knows all of it. */
static void
check_winners(SimWorld *world)
{
    Check *check = world->check;
    SimMask all = (1u << world->n_nodes) - 1;

    for (SimMask quorum = 1; quorum <= all && world->violation == NULL; quorum++) {
        const SimNode *winner = NULL;
        SimPoint best = { 0 };
        bool usable = (guint)__builtin_popcount(quorum) * 2 > world->n_nodes;

        for (uint32_t n = 0; usable && n < world->n_nodes; n++) {
            SimPoint point;
            if (!(quorum & 1u << n)) {
                continue;
            }
            usable = disk_counts(&world->nodes[n]) && sim_point_of(&world->nodes[n].disk, &point);
            if (usable && (winner == NULL || compare_points(&point, &best) > 0)) {
                winner = &world->nodes[n];
                best = point;
            }
        }
        if (!usable) {
            continue;
        }
        GHashTableIter iter;
        gpointer path;
        g_hash_table_iter_init(&iter, check->paths);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
            uint64_t sequence = newest(check, path);
            if (sequence > 0
                && !new_enough(check, path, disk_content(&winner->disk, path), sequence)) {
                sim_violate(world, 3,
                            "of the majority %x, %s would win, and does not know '%s' at %lu",
                            quorum, winner->name, (char *)path, (unsigned long)sequence);
                return;
            }
        }
    }
}

static void
check_promises(SimWorld *world, SimNode *node, const SimPoint *point)
{
    Check *check = world->check;
    const SimPoint *before = &check->points[node->number];

    /* 7 */
    if (before->database == point->database
        && (point->promised.number < before->promised.number
            || point->installed.number < before->installed.number)) {
        sim_violate(world, 7, "%s: promised or installed fell", node->name);
    }
    if (point->promised.number < point->installed.number) {
        sim_violate(world, 7, "%s: installed %lu, promised only %lu", node->name,
                    (unsigned long)point->installed.number, (unsigned long)point->promised.number);
    }
    g_autofree char *key = g_strdup_printf("%lu/%lx", (unsigned long)point->promised.number,
                                           (unsigned long)point->promised.plan);
    guint mask = GPOINTER_TO_UINT(g_hash_table_lookup(check->promises, key));
    g_hash_table_replace(check->promises, g_strdup(key),
                         GUINT_TO_POINTER(mask | 1u << node->number));
    /* 8 */
    if (!epoch_equal(before->installed, point->installed) && point->installed.number > 0
        && !node->disk.fresh) {
        g_autofree char *plan = g_strdup_printf("%lu/%lx", (unsigned long)point->installed.number,
                                                (unsigned long)point->installed.plan);
        guint promised = GPOINTER_TO_UINT(g_hash_table_lookup(check->promises, plan));
        if ((guint)__builtin_popcount(promised | 1u << node->number) * 2 <= world->n_nodes) {
            sim_violate(world, 8, "%s installed %s, promised only by %x", node->name, plan,
                        promised);
        }
    }
}

/* 4, 5: with one epoch installed, one history. */
static void
check_one_history(SimWorld *world, SimNode *node, const SimPoint *point)
{
    Check *check = world->check;
    g_autofree char *key =
        g_strdup_printf("%lu/%lx/%lu", (unsigned long)point->installed.number,
                        (unsigned long)point->installed.plan, (unsigned long)point->sequence);
    Digest *known = g_hash_table_lookup(check->accepted, key);

    if (known == NULL) {
        g_hash_table_insert(check->accepted, g_strdup(key),
                            g_memdup2(&point->history, sizeof point->history));
    } else if (!digest_equal(*known, point->history)) {
        sim_violate(world, 5, "%s has another history at %s", node->name, key);
    }
}

void
sim_check_persisted(SimWorld *world, SimNode *node)
{
    Check *check = world->check;
    SimPoint point;

    if (node->disk.poisoned || !sim_point_of(&node->disk, &point)) {
        return;
    }
    bool installed = !epoch_equal(check->points[node->number].installed, point.installed);
    sim_trace(world, "%s disk promised %lu/%lx installed %lu/%lx at %lu", node->name,
              (unsigned long)point.promised.number, (unsigned long)point.promised.plan,
              (unsigned long)point.installed.number, (unsigned long)point.installed.plan,
              (unsigned long)point.sequence);
    check_promises(world, node, &point);
    check_one_history(world, node, &point);
    check->points[node->number] = point;
    if (installed) {
        check_winners(world);
    }
}

/* ------------------------------------------------------------------ what readers see */

static void
note_grants(SimWorld *world, SimNode *node, const ReplicaEffect *effect)
{
    Check *check = world->check;
    Clocks now = sim_clocks(node);

    for (guint i = 0; i < effect->visible.leases->len; i++) {
        const char *name = effect->visible.leases->pdata[i];
        LeaseView view;
        if (replica_lease(node->replica, name, &now, &view)) {
            g_autofree char *key =
                g_strdup_printf("%s/%lu.%lu", name, (unsigned long)view.generation.epoch,
                                (unsigned long)view.generation.sequence);
            if (!g_hash_table_contains(check->first_seen, key)) {
                g_hash_table_insert(check->first_seen, g_strdup(key),
                                    g_memdup2(&world->now_us, sizeof world->now_us));
            }
        }
    }
}

/* A reinstalled disk counts again from when a committed configuration lists it (S6). */
static void
note_listed(SimWorld *world, const SimNode *node)
{
    g_autoptr(GArray) voters = NULL;

    for (uint32_t n = 0; n < world->n_nodes; n++) {
        if (!world->nodes[n].disk.fresh) {
            continue;
        }
        if (voters == NULL) {
            voters = replica_voters(node->replica);
        }
        for (guint i = 0; i < voters->len; i++) {
            const ReplicaVoter *voter = &g_array_index(voters, ReplicaVoter, i);
            SimPoint point;
            if (voter->node_id == n + 1 && sim_point_of(&world->nodes[n].disk, &point)
                && voter->database == point.database) {
                world->nodes[n].disk.fresh = false;
            }
        }
    }
}

void
sim_check_visible(SimWorld *world, SimNode *node, const ReplicaEffect *effect)
{
    Check *check = world->check;
    uint64_t sequence = effect->visible.sequence;
    TreeFigures figures = tree_figures(replica_tree(node->replica));
    Digest *known = g_hash_table_lookup(check->history, &sequence);

    if (check->process[node->number] == node->process && sequence < check->visible[node->number]) {
        sim_violate(world, 10, "%s showed %lu and now %lu", node->name,
                    (unsigned long)check->visible[node->number], (unsigned long)sequence);
    }
    check->process[node->number] = node->process;
    check->visible[node->number] = sequence;
    if (known == NULL) {
        g_hash_table_insert(check->history, g_memdup2(&sequence, sizeof sequence),
                            g_memdup2(&figures.digest, sizeof figures.digest));
    } else if (!digest_equal(*known, figures.digest)) {
        sim_violate(world, 10, "%s shows another tree at %lu", node->name, (unsigned long)sequence);
    }
    sim_trace(world, "%s shows %lu: version %lu, %lu entries, digest %lx", node->name,
              (unsigned long)sequence, (unsigned long)figures.version,
              (unsigned long)figures.entries, (unsigned long)figures.digest.a);
    note_listed(world, node);
    note_grants(world, node, effect);
}

void
sim_check_started(SimNode *node)
{
    Check *check = node->world->check;

    check->process[node->number] = 0;
    check_winners(node->world);
}

/* ------------------------------------------------------------------ what callers were told */

static void
check_real_time(SimWorld *world, uint64_t sequence, int64_t began_us)
{
    Check *check = world->check;

    for (guint i = check->acknowledged->len; i > 0; i--) {
        const Acknowledged *before = &g_array_index(check->acknowledged, Acknowledged, i - 1);
        if (before->at_us < began_us) {
            if (before->highest >= sequence) {
                sim_violate(world, 12, "a call begun after %lu was acknowledged stands at %lu",
                            (unsigned long)before->highest, (unsigned long)sequence);
            }
            break;
        }
    }
    uint64_t highest =
        check->acknowledged->len > 0
            ? g_array_index(check->acknowledged, Acknowledged, check->acknowledged->len - 1).highest
            : 0;
    Acknowledged now = { world->now_us, MAX(highest, sequence) };
    g_array_append_val(check->acknowledged, now);
}

void
sim_check_written(SimNode *node, const char *path, const char *content, int64_t began_us,
                  const UpdateResult *result)
{
    SimWorld *world = node->world;
    Check *check = world->check;

    settle_value(check, path, content, result->code == UPDATE_DONE, result->sequence);
    if (result->code != UPDATE_DONE) {
        return; /* refused for good: were its content seen, nobody would know it */
    }
    check_real_time(world, result->sequence, began_us);
    check_majority_has(world, path, result->sequence);
    const TreeEntry *entry = tree_lookup(replica_tree(node->replica), path);
    if (world->violation == NULL
        && !new_enough(check, path, entry != NULL ? entry->data : NULL, result->sequence)) {
        sim_violate(world, 12, "%s does not read what it has just written to '%s'", node->name,
                    path);
    }
}

void
sim_check_unique(SimNode *node, const char *path, const UpdateResult *result, bool create)
{
    /* Nobody else ever uses this path: a second execution of one call would show here (11). */
    if (create && result->code == UPDATE_EXISTS) {
        sim_violate(node->world, 11, "%s: exclusive create of its own '%s' says EEXIST", node->name,
                    path);
    } else if (!create && result->code == UPDATE_NOT_FOUND) {
        sim_violate(node->world, 11, "%s: removing its own '%s' says ENOENT", node->name, path);
    }
}

/* ------------------------------------------------------------------ leases */

static Lease *
lease_of(Check *check, const char *name)
{
    Lease *lease = g_hash_table_lookup(check->leases, name);

    if (lease == NULL) {
        lease = g_new0(Lease, 1);
        g_hash_table_insert(check->leases, g_strdup(name), lease);
    }
    return lease;
}

static int64_t
seen_us(SimWorld *world, const char *name, Generation generation)
{
    Check *check = world->check;
    g_autofree char *key = g_strdup_printf("%s/%lu.%lu", name, (unsigned long)generation.epoch,
                                           (unsigned long)generation.sequence);
    int64_t *at = g_hash_table_lookup(check->first_seen, key);

    return at != NULL ? *at : world->now_us;
}

static void
check_lapsed(SimWorld *world, const char *name, const Lease *lease, int64_t granted_us)
{
    int64_t lapse_us = (int64_t)LAPSE_MS * SIM_MS * (1000 - RATE_ERROR_PER_MILLE) / 1000;

    if (lease->heard_us > 0 && lease->heard_us + lapse_us > granted_us) {
        sim_violate(world, 16, "%s was granted anew %.3f s after a heard renewal was sent", name,
                    (granted_us - lease->heard_us) / (double)SIM_S);
    }
}

void
sim_check_granted(SimNode *node, const char *name, Generation generation, bool own_again)
{
    SimWorld *world = node->world;
    Check *check = world->check;
    Lease *lease = lease_of(check, name);
    int64_t granted_us = seen_us(world, name, generation);

    if (generation_compare(generation, lease->generation) <= 0) {
        /* Told later than a newer one: two in order is all that 15 asks. */
        if (generation_compare(generation, lease->generation) == 0) {
            sim_violate(world, 15, "%s: one generation was granted twice", name);
        }
        return;
    }
    if (!generation_is_none(lease->generation) && !lease->released
        && lease->holder != node->number) {
        check_lapsed(world, name, lease, granted_us);
        for (uint32_t n = 0; n < world->n_nodes; n++) {
            Generation held;
            if (n != node->number && check->holds != NULL
                && check->holds(&world->nodes[n], name, &held)
                && generation_compare(held, generation) < 0) {
                sim_violate(world, 18, "%s was granted to %s while %s still holds it", name,
                            node->name, world->nodes[n].name);
            }
        }
    }
    *lease = (Lease){ .generation = generation, .holder = node->number, .seen_us = granted_us };
}

void
sim_check_heard(SimNode *node, const char *name, Generation generation, int64_t sent_us)
{
    Lease *lease = lease_of(node->world->check, name);

    if (generation_compare(generation, lease->generation) == 0) {
        lease->heard_us = MAX(lease->heard_us, sent_us);
    } else if (generation_compare(generation, lease->generation) < 0 && !lease->released
               && lease->holder != node->number && lease->seen_us > 0) {
        Lease old = { .heard_us = sent_us };
        check_lapsed(node->world, name, &old, lease->seen_us);
    }
}

void
sim_check_released(SimWorld *world, const char *name, Generation generation)
{
    Lease *lease = lease_of(world->check, name);

    if (generation_compare(generation, lease->generation) == 0) {
        lease->released = true;
    }
}

void
sim_check_conditioned(SimNode *node, const char *name, Generation generation,
                      const UpdateResult *result)
{
    Lease *lease = lease_of(node->world->check, name);

    /* The sequence of a generation is that of its grant, so places can be compared (26). */
    if (result->code == UPDATE_DONE && generation_compare(lease->generation, generation) > 0
        && result->sequence > lease->generation.sequence) {
        sim_violate(node->world, 26,
                    "%s: an update on condition of %s was accepted at %lu, after the "
                    "grant at %lu",
                    node->name, name, (unsigned long)result->sequence,
                    (unsigned long)lease->generation.sequence);
    }
}

/* ------------------------------------------------------------------ at the end */

static void
check_guests(SimWorld *world, const SimNode *node)
{
    const Tree *tree = replica_tree(node->replica);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (uint32_t n = 0; n < world->n_nodes; n++) {
        g_autofree char *folder = g_strdup_printf("nodes/%s/qemu-server", world->nodes[n].name);
        const TreeEntry *entry = tree_lookup(tree, folder);
        g_autoptr(GPtrArray) list = entry != NULL ? tree_list(tree, entry->inode) : NULL;
        for (guint i = 0; list != NULL && i < list->len; i++) {
            guint vmid = g_ascii_strtoull(((TreeEntry *)list->pdata[i])->name, NULL, 10);
            if (!g_hash_table_add(seen, GUINT_TO_POINTER(vmid))) {
                sim_violate(world, 27, "guest %u has two configurations", vmid);
            }
        }
    }
}

void
sim_check_end(SimWorld *world)
{
    Check *check = world->check;
    Digest first = { 0 };

    check_winners(world);
    for (uint32_t n = 0; n < world->n_nodes && world->violation == NULL; n++) {
        const SimNode *node = &world->nodes[n];
        TreeFigures figures = tree_figures(replica_tree(node->replica));
        GHashTableIter iter;
        gpointer path;

        check_guests(world, node);
        g_hash_table_iter_init(&iter, check->paths);
        while (g_hash_table_iter_next(&iter, &path, NULL)) {
            uint64_t sequence = newest(check, path);
            const TreeEntry *entry = tree_lookup(replica_tree(node->replica), path);
            if (sequence > 0
                && !new_enough(check, path, entry != NULL ? entry->data : NULL, sequence)) {
                sim_violate(world, 3, "%s lost '%s' at %lu", node->name, (char *)path,
                            (unsigned long)sequence);
            }
        }
        if (n == 0) {
            first = figures.digest;
        } else if (!digest_equal(first, figures.digest)) {
            sim_violate(world, 30, "%s and node1 differ although all is quiet", node->name);
        }
    }
}

#include <string.h>
#include "cfs/core/replica_priv.h"

/*
 * Who becomes a voter, and how (S4, S6). The tree's corosync.conf names nodes and weights; the
 * lowest installed voter of the open epoch brings the configuration towards it, one change at a
 * time: a node's database is listed once it has the epoch's state on disk.
 */

static bool
leads(const Replica *r)
{
    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->in_plan && member->is_installed && member_counts(r, r->config, member))
            return member->node_id == r->node_id;
    }
    return false;
}

static size_t
installed_members(const Replica *r)
{
    size_t n = 0;

    for (guint i = 0; i < r->members->len; i++)
        n += g_array_index(r->members, Member, i).is_installed;
    return n;
}

/* True if the file says something new. */
static bool
read_wanted(Replica *r)
{
    const TreeEntry *conf = tree_lookup(r->visible->tree, "corosync.conf");
    uint64_t version = conf == NULL ? 0 : conf->version;

    if (version == r->wanted_version)
        return false;
    r->wanted_version = version;
    g_array_set_size(r->wanted, 0);
    if (conf == NULL || conf->data == NULL || !config_wanted(conf->data, r->wanted))
        g_array_set_size(r->wanted, 0);
    return true;
}

static void
ask(Replica *r, UpdateChangeKind kind, uint64_t number, GBytes *data)
{
    Update *update = update_new();
    UpdateChange *change = update_add_change(update, kind);

    change->number = (int64_t)number;
    change->data = data;
    sender_internal(r, update);
    r->config_asked = true;
}

static const Member *
learner_of(const Replica *r, uint32_t node_id)
{
    const Member *member = replica_member(r, node_id);

    return member != NULL && member->in_plan && member->is_installed && member->database != 0
               ? member
               : NULL;
}

static bool
is_here(const Member *member, uint64_t at)
{
    return member->in_plan && member->is_installed;
}

static bool
holds_lease(const Replica *r, const char *node)
{
    g_autoptr(GPtrArray) keys = records_keys(r->accepted->records, "lease/");

    for (guint i = 0; i < keys->len; i++) {
        LeaseRecord lease;
        if (record_lease(r->accepted->records, (char *)keys->pdata[i] + strlen("lease/"), &lease)
            && lease.state == LEASE_HELD && strcmp(lease.node, node) == 0)
            return true;
    }
    return false;
}

static bool
runs_guest(const Replica *r, const char *node)
{
    g_autoptr(GPtrArray) keys = records_keys(r->accepted->records, "run/");

    for (guint i = 0; i < keys->len; i++) {
        const char *number = (char *)keys->pdata[i] + strlen("run/");
        uint32_t vmid = (uint32_t)g_ascii_strtoull(number, NULL, 10);
        RunRecord run;
        if (record_run(r->accepted->records, vmid, &run) && strcmp(run.node, node) == 0
            && !record_run_dead(r->accepted->records, vmid, &run))
            return true;
    }
    return false;
}

/* S4: a node goes when it is in no view and nothing of the state rests on it. */
static bool
may_remove(const Replica *r, const ConfigVoter *voter)
{
    return replica_member(r, voter->node_id) == NULL && !holds_lease(r, voter->node)
           && !runs_guest(r, voter->node);
}

/* One step from @config towards what is wanted, in @next. False: it is there. */
static bool
next_step(Replica *r, const Config *config, Config *next)
{
    for (guint w = 0; w < r->wanted->len; w++) {
        const ConfigVoter *wanted = &g_array_index(r->wanted, ConfigVoter, w);
        const Member *member = learner_of(r, wanted->node_id);
        ConfigVoter *voter = NULL;

        for (size_t i = 0; i < next->n && voter == NULL; i++)
            voter = next->voters[i].node_id == wanted->node_id ? &next->voters[i] : NULL;
        if (voter == NULL && config->n == 1 && member != NULL
            && member->database == config->voters[0].database)
            voter = &next->voters[0]; /* the founder, under the id that it has now */
        if (voter == NULL) {
            if (member == NULL || next->n >= CONFIG_VOTERS_MAX)
                continue;
            next->voters[next->n] = *wanted;
            next->voters[next->n].database = member->database;
            next->voters[next->n].joined = r->plan->epoch.number;
            next->n++;
            return true;
        }
        bool replaced = member != NULL && member->database != voter->database;
        if (replaced || voter->weight != wanted->weight || voter->node_id != wanted->node_id
            || strcmp(voter->node, wanted->node) != 0) {
            voter->node_id = wanted->node_id;
            voter->weight = wanted->weight;
            g_strlcpy(voter->node, wanted->node, sizeof voter->node);
            if (replaced) {
                voter->database = member->database;
                voter->joined = r->plan->epoch.number;
            }
            return true;
        }
    }
    for (size_t i = 0; i < next->n; i++) {
        bool named = false;
        for (guint w = 0; w < r->wanted->len; w++)
            named = named
                    || g_array_index(r->wanted, ConfigVoter, w).node_id == next->voters[i].node_id;
        if (!named && r->wanted->len > 0 && next->n > 1 && may_remove(r, &next->voters[i])) {
            memmove(&next->voters[i], &next->voters[i + 1],
                    (next->n - i - 1) * sizeof(ConfigVoter));
            next->n--;
            return true;
        }
    }
    return false;
}

static bool
weight_is_left(const Config *config)
{
    for (size_t i = 0; i < config->n; i++) {
        if (config->voters[i].weight > 0)
            return true;
    }
    return false;
}

static void
change_config(Replica *r)
{
    const Config *committed = r->config;

    /* Values are shared: the same one in both states, or a change is under way. */
    if (records_get(r->visible->records, "config") != records_get(r->accepted->records, "config"))
        return;
    if (committed->n_old > 0) {
        ask(r, CHANGE_CONFIG_DONE, committed->number, NULL);
        return;
    }
    if (!read_wanted(r) && r->settled_config == committed->number
        && r->settled_epoch == r->plan->epoch.number && r->settled_members == installed_members(r)
        && r->now.mono_ms - r->settled_ms < LOOK_AGAIN_MS)
        return; /* looked at before, and as it should be */
    r->settled_config = committed->number;
    r->settled_epoch = r->plan->epoch.number;
    r->settled_members = installed_members(r);
    r->settled_ms = r->now.mono_ms;
    g_autoptr(GBytes) encoded = config_encode(committed);
    g_autoptr(Config) next = config_decode(encoded);
    /* Only a step that those who are here can finish. */
    if (next_step(r, committed, next) && weight_is_left(next)
        && epoch_majority(r, next, is_here, 0))
        ask(r, CHANGE_CONFIG, committed->number, config_encode(next));
}

/* S6: who has joined this epoch, so that an old copy of a database can be told from it. */
static void
note_joined(Replica *r)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    size_t n = 0;

    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        n += member->in_plan && member->is_installed && member_counts(r, r->config, member);
    }
    if (r->joined_said == r->plan->epoch.number && r->joined_count >= n)
        return;
    r->joined_said = r->plan->epoch.number;
    r->joined_count = n;
    q_put_var(bytes, n);
    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->in_plan && member->is_installed && member_counts(r, r->config, member))
            q_put_u64(bytes, member->database);
    }
    ask(r, CHANGE_EPOCH, r->plan->epoch.number, g_bytes_new(bytes->data, bytes->len));
}

/* The boot of a node is on record before it does anything else (S34: N under another boot). */
static void
say_hello(Replica *r)
{
    char key[RECORD_TEXT_MAX];

    if (r->hello_said)
        return;
    r->hello_said = true;
    record_key(key, sizeof key, "boot", r->node);
    GBytes *known = records_get(r->accepted->records, key);
    gsize length = 0;
    const char *boot = known == NULL ? NULL : g_bytes_get_data(known, &length);
    if (boot != NULL && length == strlen(r->boot) && memcmp(boot, r->boot, length) == 0)
        return;
    Update *update = update_new();
    update_add_change(update, CHANGE_HELLO);
    sender_internal(r, update);
}

void
voters_idle(Replica *r)
{
    if (!replica_is_ready(r) || r->quorum != QUORUM_YES || r->override != NULL || r->config == NULL)
        return;
    say_hello(r);
    if (r->config_asked || !leads(r))
        return;
    change_config(r);
    if (!r->config_asked && !r->alone)
        note_joined(r);
}

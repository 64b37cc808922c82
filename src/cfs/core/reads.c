#include <string.h>
#include "cfs/core/replica_priv.h"

/* What readers may ask: committed state, and how things stand (S13). */

/* What a view borrows lives until the next step. */
static const char *
keep(const Replica *r, const char *text)
{
    return g_string_chunk_insert_const(r->texts, text);
}

const Tree *
replica_tree(const Replica *r)
{
    return r->visible->tree;
}

ReplicaQuorum
replica_quorum(const Replica *r)
{
    return (ReplicaQuorum){
        .state = r->quorum, .epoch = r->installed, .sequence = r->visible->sequence, .why = r->why
    };
}

const char *
replica_cluster_id(const Replica *r)
{
    const Config *config = replica_config(r);
    char text[17];

    if (config == NULL)
        return "";
    g_snprintf(text, sizeof text, "%016" G_GINT64_MODIFIER "x", config->cluster);
    return keep(r, text);
}

GArray *
replica_members(const Replica *r)
{
    GArray *members = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (guint i = 0; i < r->members->len; i++)
        g_array_append_val(members, g_array_index(r->members, Member, i).node_id);
    return members;
}

GArray *
replica_voters(const Replica *r)
{
    GArray *voters = g_array_new(FALSE, TRUE, sizeof(ReplicaVoter));
    const Config *config = replica_config(r);

    for (size_t i = 0; config != NULL && i < config->n; i++) {
        const ConfigVoter *voter = &config->voters[i];
        const Member *member = replica_member(r, voter->node_id);
        ReplicaVoter view = { .node_id = voter->node_id,
                              .node = voter->node,
                              .weight = voter->weight,
                              .database = voter->database,
                              .present = member != NULL,
                              .installed = member != NULL && member->in_plan && member->is_installed
                                           && member->database == voter->database };
        g_array_append_val(voters, view);
    }
    return voters;
}

/* ------------------------------------------------------------------ leases */

bool
replica_lease(const Replica *r, const char *name, const Clocks *now, LeaseView *view)
{
    const LeaseClock *clock = g_hash_table_lookup(r->clocks, name);
    LeaseRecord lease;

    if (strlen(name) > LEASE_NAME_MAX || !record_lease(r->visible->records, name, &lease))
        return false;
    *view = (LeaseView){ .name = keep(r, name),
                         .state = lease.state,
                         .generation = lease.generation,
                         .node_id = lease.node_id,
                         .node = keep(r, lease.node),
                         .boot = keep(r, lease.boot),
                         .process = keep(r, lease.process),
                         .hold_ms = lease.hold_ms,
                         .lapse_ms = lease.lapse_ms,
                         .left_ms = lease.lapse_ms };
    if (clock != NULL && generation_compare(clock->generation, lease.generation) == 0) {
        view->left_ms = MAX(lease.lapse_ms - clocks_elapsed_voter(&clock->since, now), 0);
        view->renewed_mono_ms = clock->renewed_mono_ms;
        view->heard_sent_ms = strcmp(lease.node, r->node) == 0 ? clock->heard_sent_ms : 0;
    }
    return true;
}

static GPtrArray *
names_of(const Replica *r, const char *prefix)
{
    GPtrArray *keys = records_keys(r->visible->records, prefix);

    for (guint i = 0; i < keys->len; i++)
        keys->pdata[i] = (char *)keys->pdata[i] + strlen(prefix);
    return keys;
}

GPtrArray *
replica_lease_names(const Replica *r)
{
    return names_of(r, "lease/");
}

/* ------------------------------------------------------------------ records */

bool
replica_run(const Replica *r, uint32_t vmid, RunView *view)
{
    RunRecord run;

    if (!record_run(r->visible->records, vmid, &run))
        return false;
    *view = (RunView){ .vmid = vmid,
                       .node = keep(r, run.node),
                       .boot = keep(r, run.boot),
                       .start_id = keep(r, run.start_id),
                       .guard = run.guard,
                       .dead = record_run_dead(r->visible->records, vmid, &run) };
    return true;
}

bool
replica_mig(const Replica *r, uint32_t vmid, MigView *view)
{
    MigRecord mig;

    if (!record_mig(r->visible->records, vmid, &mig))
        return false;
    *view = (MigView){ .vmid = vmid,
                       .mig_id = keep(r, mig.mig_id),
                       .start_id = keep(r, mig.start_id),
                       .target = keep(r, mig.target),
                       .target_boot = keep(r, mig.target_boot),
                       .phase = keep(r, mig.phase) };
    return true;
}

static int
compare_vmids(gconstpointer a, gconstpointer b)
{
    /* Both views begin with the number. */
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

GArray *
replica_runs(const Replica *r)
{
    g_autoptr(GPtrArray) names = names_of(r, "run/");
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(RunView));

    for (guint i = 0; i < names->len; i++) {
        RunView view;
        if (replica_run(r, (uint32_t)g_ascii_strtoull(names->pdata[i], NULL, 10), &view))
            g_array_append_val(runs, view);
    }
    g_array_sort(runs, compare_vmids);
    return runs;
}

GArray *
replica_migs(const Replica *r)
{
    g_autoptr(GPtrArray) names = names_of(r, "mig/");
    GArray *migs = g_array_new(FALSE, FALSE, sizeof(MigView));

    for (guint i = 0; i < names->len; i++) {
        MigView view;
        if (replica_mig(r, (uint32_t)g_ascii_strtoull(names->pdata[i], NULL, 10), &view))
            g_array_append_val(migs, view);
    }
    g_array_sort(migs, compare_vmids);
    return migs;
}

GArray *
replica_offs(const Replica *r)
{
    g_autoptr(GPtrArray) names = names_of(r, "off/");
    GArray *offs = g_array_new(FALSE, FALSE, sizeof(OffView));

    for (guint i = 0; i < names->len; i++) {
        OffRecord off;
        if (!record_off(r->visible->records, names->pdata[i], &off))
            continue;
        OffView view = { .node = keep(r, names->pdata[i]),
                         .boot = keep(r, off.boot),
                         .manager = off.manager,
                         .deadline_s = off.deadline_s,
                         .state = off.state };
        g_array_append_val(offs, view);
    }
    return offs;
}

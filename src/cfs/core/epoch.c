#include <string.h>
#include "cfs/core/replica_priv.h"

/* Forming an epoch (S7-S10): view, STATE, PLAN, JOINED, INSTALL, INSTALLED, OPEN. */

/* ------------------------------------------------------------------ counting */

/* S6: a database counts if it is listed, of this cluster and lineage, and not an old copy of
 * itself: it has promised every epoch that it is known to have joined. */
bool
member_counts(const Replica *r, const Config *config, const Member *member)
{
    const ConfigVoter *voter = config_voter(config, member->node_id, member->database);

    return voter != NULL && voter->weight > 0 && member->cluster == config->cluster
           && member->lineage == config->lineage && member->promised.number >= voter->joined;
}

typedef struct {
    const Replica *replica;
    const Config *config;
    bool (*counts)(const Member *member, uint64_t at);
    uint64_t at;
} Majority;

static bool
voter_is_in(const ConfigVoter *voter, gconstpointer data)
{
    const Majority *majority = data;
    const Replica *r = majority->replica;

    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->has_state && member->database == voter->database
            && member_counts(r, majority->config, member) && majority->counts(member, majority->at))
            return true;
    }
    return false;
}

bool
epoch_majority(const Replica *r, const Config *config, bool (*counts)(const Member *, uint64_t),
               uint64_t at)
{
    Majority majority = { r, config, counts, at };

    return config_majority(config, voter_is_in, &majority);
}

static bool
is_considered(const Member *member, uint64_t at)
{
    return member->considered;
}

static bool
has_joined(const Member *member, uint64_t at)
{
    return member->in_plan && member->joined;
}

static bool
has_installed(const Member *member, uint64_t at)
{
    return member->in_plan && member->is_installed;
}

bool
epoch_self_is_voter(const Replica *r, const Config *config)
{
    Member *self = replica_member(r, r->node_id);

    return self != NULL && self->has_state && config != NULL && member_counts(r, config, self);
}

/* ------------------------------------------------------------------ views */

void
plan_free(Plan *plan)
{
    if (plan == NULL)
        return;
    g_queue_clear_full(&plan->items, order_item_free);
    g_ptr_array_unref(plan->queries);
    config_unref(plan->config);
    state_free(plan->snapshot);
    g_free(plan);
}

static void
drop_plan(Replica *r)
{
    if (r->plan == NULL)
        return;
    if (r->plan->open)
        replica_notice(r, NOTICE_EPOCH_CLOSED, 0, r->plan->epoch.number, "%s", "");
    sync_end(r);
    g_clear_pointer(&r->plan, plan_free); /* S11: the unconfirmed is forgotten */
    g_ptr_array_set_size(r->partials, 0);
    r->adopt = false;
}

static void
send_state(Replica *r)
{
    GByteArray *message = replica_message(r, MESSAGE_STATE, false);

    q_put_u64(message, r->nonce);
    q_put_u64(message, r->config == NULL ? 0 : r->config->cluster);
    q_put_u64(message, r->config == NULL ? 0 : r->config->lineage);
    q_put_u64(message, r->database);
    epoch_put(message, r->promised);
    epoch_put(message, r->installed);
    q_put_var(message, r->accepted->sequence);
    digest_put(message, r->accepted->history);
    if (r->override != NULL) {
        g_autoptr(GBytes) config = config_encode(r->override);
        q_put_bytes(message, config);
    } else if (r->config != NULL) {
        g_autoptr(GBytes) config = config_encode(r->config);
        q_put_bytes(message, config);
    } else {
        q_put_data(message, NULL, 0);
    }
    replica_multicast(r, message);
    r->state_ms = r->now.mono_ms;
}

/* Under a new nonce: whoever has us in a plan that we are not in sees that we are late (S8). */
static void
send_state_again(Replica *r)
{
    r->nonce = q_random_id(&r->random);
    send_state(r);
}

/* Stops accepting and says where we stand: at each confchg, and at each REFORM (S7). */
static void
begin_round(Replica *r)
{
    drop_plan(r);
    r->nonce = q_random_id(&r->random);
    r->round_ms = r->now.mono_ms;
    r->plan_sent_ms = 0;
    r->late_ms = 0;
    r->resend = true;
    r->config_asked = r->hello_said = false;
    r->joined_said = 0;
    if (r->in_view)
        send_state(r);
    lease_view(r);
    epoch_quorum(r);
}

static void
member_clear(gpointer data)
{
    config_unref(((Member *)data)->config);
}

void
epoch_members_free(Replica *r)
{
    g_array_set_clear_func(r->members, member_clear);
    g_array_unref(r->members);
}

static int
compare_ids(gconstpointer a, gconstpointer b)
{
    uint32_t x = ((const Member *)a)->node_id, y = ((const Member *)b)->node_id;

    return x < y ? -1 : x > y;
}

void
epoch_view(Replica *r, const uint32_t *members, size_t n)
{
    drop_plan(r);
    g_array_set_size(r->members, 0);
    g_array_set_clear_func(r->members, member_clear);
    r->in_view = false;
    for (size_t i = 0; i < n; i++) {
        Member member = { .node_id = members[i] };
        if (replica_member(r, members[i]) != NULL)
            continue; /* an old process of that node is still leaving */
        g_array_append_val(r->members, member);
        r->in_view = r->in_view || members[i] == r->node_id;
    }
    g_array_sort(r->members, compare_ids);
    begin_round(r);
}

void
epoch_progress(Replica *r)
{
    if (r->plan != NULL)
        r->plan->progress_ms = r->now.mono_ms;
}

/* ------------------------------------------------------------------ the plan */

/* S7: the winner among the members considered: the highest (installed, accepted sequence). */
static Member *
find_winner(Replica *r)
{
    uint64_t own = epoch_self_is_voter(r, replica_config(r)) ? replica_config(r)->cluster : 0;
    Member *winner = NULL;

    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        if (!member->considered || member->config == NULL
            || !member_counts(r, member->config, member) || (own != 0 && member->cluster != own))
            continue;
        if (winner == NULL || member->installed.number > winner->installed.number
            || (member->installed.number == winner->installed.number
                && member->sequence > winner->sequence))
            winner = member;
    }
    return winner;
}

/* Who has a vote in another cluster keeps it; it is no learner of ours. */
static bool
is_foreign(const Replica *r, uint64_t cluster, const Member *member)
{
    return member->config != NULL && member->cluster != cluster
           && member_counts(r, member->config, member);
}

static void
leave_out_foreign(Replica *r, const Member *winner)
{
    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        if (member->considered && is_foreign(r, winner->cluster, member))
            member->considered = false;
    }
}

static uint64_t
next_number(const Replica *r)
{
    uint64_t number = 0;

    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->considered)
            number = MAX(number, member->promised.number);
    }
    return number + 1;
}

static void
send_plan(Replica *r)
{
    guint count = 0;

    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        member->considered = member->has_state;
    }
    Member *winner = find_winner(r);
    if (winner == NULL)
        return;
    leave_out_foreign(r, winner);
    if (!epoch_majority(r, winner->config, is_considered, 0))
        return;
    for (guint i = 0; i < r->members->len; i++)
        count += g_array_index(r->members, Member, i).considered;

    GByteArray *message = replica_message(r, MESSAGE_PLAN, false);
    epoch_put(message, (Epoch){ next_number(r), q_random_id(&r->random) });
    q_put_var(message, winner->node_id);
    q_put_var(message, count);
    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        if (!member->considered)
            continue;
        q_put_var(message, member->node_id);
        q_put_u64(message, member->nonce);
    }
    replica_multicast(r, message);
    r->plan_sent_ms = r->now.mono_ms;
}

/* S8: who may propose now: the lowest id at once when all have spoken, else one after the other. */
static void
consider_plan(Replica *r)
{
    size_t rank = replica_rank(r);
    bool all = true;

    if (r->plan != NULL || !r->in_view)
        return;
    if (r->plan_sent_ms != 0 && r->now.mono_ms - r->plan_sent_ms < PLAN_WAIT_MS)
        return;
    for (guint i = 0; i < r->members->len; i++)
        all = all && g_array_index(r->members, Member, i).has_state;
    if ((rank == 0 && all) || r->now.mono_ms - r->round_ms >= PLAN_WAIT_MS * (int64_t)(rank + 1))
        send_plan(r);
}

static void
read_state(Replica *r, const MessageHeader *header, QReader *reader)
{
    Member *member = replica_member(r, header->node_id);
    Member said = { .node_id = header->node_id,
                    .has_state = true,
                    .incarnation = header->incarnation };

    said.nonce = q_get_u64(reader);
    said.cluster = q_get_u64(reader);
    said.lineage = q_get_u64(reader);
    said.database = q_get_u64(reader);
    said.promised = epoch_get(reader);
    said.installed = epoch_get(reader);
    said.sequence = q_get_var(reader);
    said.history = digest_get(reader);
    g_autoptr(GBytes) config = q_get_bytes(reader, REPLICA_MESSAGE_MAX);
    if (member == NULL || !q_reader_done(reader))
        return;
    if (member->in_plan && member->nonce == said.nonce)
        return;
    if (g_bytes_get_size(config) > 0)
        said.config = config_decode(config);
    /* It came after the plan, or began a new round of its own: in this plan it takes no part. */
    if (r->plan != NULL && !is_foreign(r, r->plan->config->cluster, &said) && r->late_ms == 0)
        r->late_ms = r->now.mono_ms;
    config_unref(member->config);
    *member = said;
    consider_plan(r);
}

static bool
plan_fits(Replica *r, QReader *reader)
{
    bool self = false;
    size_t n = q_get_count(reader, 9);

    for (guint i = 0; i < r->members->len; i++)
        g_array_index(r->members, Member, i).considered = false;
    for (; n > 0 && !reader->failed; n--) {
        Member *member = replica_member(r, (uint32_t)q_get_var(reader));
        uint64_t nonce = q_get_u64(reader);
        if (member == NULL || !member->has_state || member->nonce != nonce)
            return false;
        member->considered = true;
        if (member->node_id == r->node_id) {
            if (nonce != r->nonce)
                return false;
            self = true;
        }
    }
    return self && q_reader_done(reader);
}

static void
promise(Replica *r)
{
    Plan *plan = r->plan;
    const Member *self = replica_member(r, r->node_id);

    if (member_counts(r, plan->config, self)) {
        g_assert(plan->epoch.number > r->promised.number);
        r->promised = plan->epoch;
        r->tip_dirty = true;
        return;
    }
    r->stale = config_voter(plan->config, r->node_id, r->database) != NULL
               && config_voter(plan->config, r->node_id, r->database)->weight > 0;
    replica_notice(r, NOTICE_LEARNER, r->node_id, 0, "%s",
                   r->stale ? "this database is an old copy of itself"
                            : "this database is not listed in the configuration");
}

static void
read_plan(Replica *r, const MessageHeader *header, QReader *reader)
{
    Epoch epoch = epoch_get(reader);
    uint32_t winner_id = (uint32_t)q_get_var(reader);

    if (r->plan != NULL || !r->in_view)
        return;
    Member *winner = plan_fits(r, reader) ? find_winner(r) : NULL;
    if (winner == NULL || winner->node_id != winner_id || epoch.number != next_number(r)
        || !epoch_majority(r, winner->config, is_considered, 0)) {
        /* The others go on without us, and may believe that we are with them. */
        r->state_ms = MIN(r->state_ms, r->now.mono_ms - STATE_AGAIN_MS + LEFT_OUT_MS);
        return;
    }

    Plan *plan = g_new0(Plan, 1);
    plan->epoch = epoch;
    plan->winner = winner_id;
    plan->config = config_ref(winner->config);
    plan->base = winner->sequence;
    plan->progress_ms = r->now.mono_ms;
    plan->chain = digest_bytes(&epoch.plan, sizeof epoch.plan);
    plan->queries = g_ptr_array_new_with_free_func(query_free);
    g_queue_init(&plan->items);
    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        member->in_plan = member->considered;
        if (!member->considered && member->has_state
            && !is_foreign(r, plan->config->cluster, member))
            r->late_ms = r->now.mono_ms;
    }
    r->plan = plan;
    promise(r);
}

/* ------------------------------------------------------------------ install and open */

static Member *
plan_member(Replica *r, const MessageHeader *header)
{
    Member *member = replica_member(r, header->node_id);

    return r->plan != NULL && epoch_equal(header->plan, r->plan->epoch) && member != NULL
                   && member->in_plan && member->incarnation == header->incarnation
               ? member
               : NULL;
}

static void
after_install(Replica *r)
{
    Plan *plan = r->plan;

    plan->installed = true;
    plan->own_opening = r->accepted->history;
    r->installed = plan->epoch;
    if (r->promised.number < plan->epoch.number)
        r->promised = plan->epoch; /* a learner; with the state, in one transaction */
    if (r->stale) {
        r->database = q_random_id(&r->random); /* S6: the old id is not this disk's any more */
        r->stale = false;
    }
    r->tip_dirty = true;
    LogItem mark = { .is_mark = true, .epoch = plan->epoch, .sequence = r->accepted->sequence };
    order_log(r, mark);
    order_reload_config(r);
}

/* Our state is the winner's already: begin the epoch on it. */
static void
install_own(Replica *r, bool missed_one)
{
    Pending *pending = g_new0(Pending, 1);

    pending->is_mark = true;
    pending->delta = state_begin_epoch(r->accepted, r->plan->epoch);
    pending->config = r->config == NULL ? NULL : config_ref(r->config);
    g_queue_push_tail(&r->pending, pending);
    disk_dirty_delta(r, pending->delta);
    r->adopt = !r->visible_known;
    after_install(r);
    lease_learn_all(r, missed_one);
}

/* S10: another state, complete and begun, takes the place of ours, in one transaction. */
void
epoch_install(Replica *r, State *state, GPtrArray *deltas, bool keep_aside)
{
    disk_dirty_states(r, r->accepted, state);
    state_free(r->accepted);
    r->accepted = state;
    g_queue_clear_full(&r->pending, pending_free);
    g_queue_init(&r->pending);
    disk_forget_undo(r);
    r->keep_aside = r->keep_aside || keep_aside;
    if (deltas == NULL) {
        order_log_clear(r);
        r->log_floor_sequence = state->sequence;
        r->log_floor_epoch = r->plan->epoch.number;
    }
    r->adopt = true;
    r->visible_known = false; /* until the epoch opens */
    after_install(r);
    lease_learn_all(r, true);
    lock_seen_all(r);
    if (r->plan->open)
        order_opened(r);
}

static void
begin_install(Replica *r)
{
    Plan *plan = r->plan;
    const Member *self = replica_member(r, r->node_id);
    const Member *winner = replica_member(r, plan->winner);

    plan->installing = true;
    epoch_progress(r);
    if (self->sequence == winner->sequence && epoch_equal(self->installed, winner->installed)
        && digest_equal(self->history, winner->history))
        install_own(r, false);
    else
        sync_begin(r);
}

static void
read_joined(Replica *r, const MessageHeader *header)
{
    Member *member = plan_member(r, header);

    if (member == NULL)
        return;
    member->joined = true;
    epoch_progress(r);
    if (!r->plan->installing && epoch_majority(r, r->plan->config, has_joined, 0))
        begin_install(r);
}

static void
open_epoch(Replica *r)
{
    g_autoptr(GString) text = g_string_new(NULL);

    r->plan->open = true;
    epoch_progress(r);
    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->in_plan)
            g_string_append_printf(text, "%s%u%s", text->len == 0 ? "" : ",", member->node_id,
                                   member->is_installed ? "" : " (learns)");
    }
    replica_notice(r, NOTICE_EPOCH_OPEN, 0, r->plan->epoch.number, "%s", text->str);
    if (r->plan->installed)
        order_opened(r);
    epoch_quorum(r);
}

/* Once all members of the plan have it, nobody fetches the state as of the begin any more. */
static void
drop_snapshot(Replica *r)
{
    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        if (member->in_plan && !member->is_installed)
            return;
    }
    g_clear_pointer(&r->plan->snapshot, state_free);
}

static void
read_installed(Replica *r, const MessageHeader *header, QReader *reader)
{
    Member *member = plan_member(r, header);
    uint64_t database = q_get_u64(reader);
    Digest opening = digest_get(reader);

    if (member == NULL || !q_reader_done(reader))
        return;
    if (!r->plan->have_opening) {
        r->plan->have_opening = true;
        r->plan->opening = opening;
    } else if (!digest_equal(r->plan->opening, opening)) {
        replica_notice(r, NOTICE_DIVERGED, header->node_id, r->plan->base, "%s",
                       "installed another state than the first");
        return;
    }
    member->is_installed = true;
    member->database = database;
    member->cluster = r->plan->config->cluster;
    member->lineage = r->plan->config->lineage;
    if (member->promised.number < r->plan->epoch.number)
        member->promised = r->plan->epoch;
    member->durable = r->plan->base;
    member->durable_history = opening;
    member->durable_checked = true;
    epoch_progress(r);
    drop_snapshot(r);
    if (!r->plan->open && epoch_majority(r, r->plan->config, has_installed, 0))
        open_epoch(r);
    else if (r->plan->open)
        order_commit(r);
    if (header->node_id == r->node_id)
        epoch_quorum(r);
}

/* What is on disk now lets us say so. */
void
epoch_persisted(Replica *r)
{
    Plan *plan = r->plan;

    if (plan == NULL)
        return;
    if (!plan->said_joined && epoch_equal(r->durable.promised, plan->epoch)
        && epoch_self_is_voter(r, plan->config)) {
        plan->said_joined = true;
        replica_multicast(r, replica_message(r, MESSAGE_JOINED, true));
    }
    if (!plan->said_installed && epoch_equal(r->durable.installed, plan->epoch)) {
        GByteArray *message = replica_message(r, MESSAGE_INSTALLED, true);
        plan->said_installed = true;
        q_put_u64(message, r->database);
        digest_put(message, plan->own_opening);
        replica_multicast(r, message);
    }
}

/* ------------------------------------------------------------------ forming again */

static void
read_reform(Replica *r, QReader *reader)
{
    Epoch plan = epoch_get(reader);

    /* Everybody begins anew here in the order, also who is in another plan, or in none: or else it
     * would stay so for ever. Only a plan made since then stands. */
    if (!q_reader_done(reader) || !r->in_view
        || (r->plan != NULL && r->plan->epoch.number > plan.number))
        return;
    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        member->has_state = false;
        member->in_plan = member->joined = member->is_installed = false;
        member->confirm = member->durable = 0;
        member->mismatch = false;
    }
    begin_round(r);
}

void
epoch_reform(Replica *r)
{
    if (r->plan == NULL || r->now.mono_ms - r->reform_ms < STALL_MS / 2)
        return;
    GByteArray *message = replica_message(r, MESSAGE_REFORM, false);
    epoch_put(message, r->plan->epoch);
    replica_multicast(r, message);
    r->reform_ms = r->now.mono_ms;
}

/* When something should be said about a plan that does not go on, by whom: lowest id first. */
static int64_t
reform_due(const Replica *r)
{
    int64_t patience = PLAN_WAIT_MS * (int64_t)replica_rank(r);
    int64_t due = INT64_MAX;

    if (r->plan == NULL)
        return INT64_MAX;
    if (r->late_ms != 0)
        due = r->late_ms + patience;
    if (!r->plan->open)
        due = MIN(due, r->plan->progress_ms + STALL_MS + patience);
    else if (!g_queue_is_empty(&r->plan->items) && r->plan->installed)
        due = MIN(due, MAX(((Item *)r->plan->items.head->data)->since_ms, r->plan->progress_ms)
                           + STALL_MS + patience);
    return MAX(due, r->reform_ms + STALL_MS / 2);
}

void
epoch_tick(Replica *r)
{
    if (!r->in_view)
        return;
    consider_plan(r);
    if (r->plan == NULL && r->now.mono_ms - r->state_ms >= STATE_AGAIN_MS)
        send_state_again(r);
    if (r->now.mono_ms >= reform_due(r))
        epoch_reform(r);
    epoch_quorum(r);
    if (r->no_majority_ms != 0 && r->now.mono_ms - r->no_majority_ms >= GIVE_UP_MS)
        sender_give_up(r);
}

int64_t
epoch_wake(const Replica *r)
{
    int64_t wake = reform_due(r);

    if (!r->in_view)
        return r->no_majority_ms != 0 && r->flight.length > 0 ? r->no_majority_ms + GIVE_UP_MS
                                                              : INT64_MAX;
    if (r->plan == NULL) {
        int64_t plan = r->round_ms + PLAN_WAIT_MS * (int64_t)(replica_rank(r) + 1);
        wake = MIN(r->state_ms + STATE_AGAIN_MS, plan > r->now.mono_ms ? plan : INT64_MAX);
    }
    if (r->quorum == QUORUM_FORMING)
        wake = MIN(wake, r->round_ms + FORMING_MS);
    if (r->no_majority_ms != 0 && r->flight.length > 0)
        wake = MIN(wake, MAX(r->no_majority_ms + GIVE_UP_MS, r->now.mono_ms + 1));
    return wake;
}

void
epoch_message(Replica *r, const MessageHeader *header, QReader *reader)
{
    switch (header->type) {
    case MESSAGE_STATE:
        read_state(r, header, reader);
        break;
    case MESSAGE_PLAN:
        read_plan(r, header, reader);
        break;
    case MESSAGE_JOINED:
        read_joined(r, header);
        break;
    case MESSAGE_INSTALLED:
        read_installed(r, header, reader);
        break;
    default:
        read_reform(r, reader);
    }
}

/* ------------------------------------------------------------------ quorum */

static bool
voter_is_present(const ConfigVoter *voter, gconstpointer data)
{
    return replica_member(data, voter->node_id) != NULL;
}

static char *
missing_voters(const Replica *r, const Config *config)
{
    GString *text = g_string_new("no majority: missing ");
    gsize start = text->len;

    for (size_t i = 0; i < config->n; i++) {
        if (replica_member(r, config->voters[i].node_id) == NULL)
            g_string_append_printf(text, "%s%s", text->len == start ? "" : ", ",
                                   config->voters[i].node);
    }
    return g_string_free(text, FALSE);
}

static QuorumState
judge_quorum(const Replica *r, char **why)
{
    const Config *config = replica_config(r);
    bool patient = r->now.mono_ms - r->round_ms < FORMING_MS;

    if (!r->in_view) {
        *why = g_strdup("not connected to the cluster (corosync)");
        return QUORUM_NO;
    }
    if (replica_is_ready(r)) {
        if (r->flag || r->alone) {
            *why = g_strdup("");
            return QUORUM_YES;
        }
        *why = g_strdup("corosync says that there is no quorum");
        return QUORUM_NO;
    }
    if (config != NULL && r->members->len > 0 && config->n > 1
        && !config_majority(config, voter_is_present, r)) {
        *why = missing_voters(r, config);
        return QUORUM_NO;
    }
    if (r->disk_bad)
        *why = g_strdup("this node cannot write its database");
    else if (r->plan != NULL && r->plan->open)
        *why = g_strdup("this node is still fetching the present state");
    else
        *why = g_strdup("a majority is forming an epoch");
    return patient ? QUORUM_FORMING : QUORUM_NO;
}

void
epoch_quorum(Replica *r)
{
    char *why = NULL;
    QuorumState state = judge_quorum(r, &why);
    bool changed = state != r->quorum || strcmp(why, r->why) != 0;

    g_free(r->why);
    r->why = why;
    r->quorum = state;
    if (state != QUORUM_NO) {
        r->no_majority_ms = 0;
    } else if (r->no_majority_ms == 0) {
        r->no_majority_ms = r->now.mono_ms;
        replica_notice(r, NOTICE_NO_MAJORITY, 0, 0, "%s", why);
    }
    if (state == QUORUM_NO) {
        sender_refuse(r);
        lease_refuse(r);
    }
    if (changed) {
        ReplicaEffect effect = { .kind = EFFECT_QUORUM };
        g_array_append_val(r->effects, effect);
    }
}

#include <string.h>
#include "cfs/core/replica_priv.h"

/* Taking, renewing and lapsing of leases between nodes (S18-S22). */

void
query_free(gpointer data)
{
    Query *query = data;

    g_free(query->name);
    g_array_unref(query->yes);
    g_free(query);
}

void
take_free(gpointer data)
{
    Take *take = data;

    g_free(take->name);
    g_free(take->process);
    g_free(take);
}

void
renewal_free(gpointer data)
{
    Renewal *renewal = data;

    g_free(renewal->name);
    g_array_unref(renewal->heard);
    g_free(renewal);
}

/* ------------------------------------------------------------------ what this voter remembers */

static LeaseClock *
clock_of(Replica *r, const char *name)
{
    LeaseClock *clock = g_hash_table_lookup(r->clocks, name);

    if (clock == NULL) {
        clock = g_new0(LeaseClock, 1);
        clock->since = r->now;
        g_hash_table_insert(r->clocks, g_strdup(name), clock);
    }
    return clock;
}

/* A generation that is new to us counts from now on (S21). */
void
lease_learned(Replica *r, const char *name)
{
    LeaseClock *clock = clock_of(r, name);
    LeaseRecord lease;

    if (!record_lease(r->accepted->records, name, &lease))
        return;
    if (generation_compare(lease.generation, clock->generation) != 0) {
        clock->generation = lease.generation;
        clock->since = r->now;
        clock->renewed_mono_ms = 0;
        clock->heard_sent_ms = 0;
        lease_hold_start(&clock->hold, lease.hold_ms);
    }
}

void
lease_learn_all(Replica *r, bool anew)
{
    g_autoptr(GPtrArray) keys = records_keys(r->accepted->records, "lease/");

    for (guint i = 0; i < keys->len; i++) {
        const char *name = (const char *)keys->pdata[i] + strlen("lease/");
        lease_learned(r, name);
        if (anew)
            clock_of(r, name)->since = r->now; /* renewals of the epoch missed were not seen */
    }
}

int64_t
lease_left(const Replica *r, const char *name, const LeaseRecord *lease)
{
    const LeaseClock *clock = g_hash_table_lookup(r->clocks, name);

    if (clock == NULL)
        return lease->lapse_ms;
    return MAX(lease->lapse_ms - clocks_elapsed_voter(&clock->since, &r->now), 0);
}

static uint64_t
own_database(const Replica *r)
{
    const Config *config = replica_config(r);

    if (config == NULL || config_voter(config, r->node_id, r->database) == NULL)
        return 0;
    return r->database;
}

static bool
database_is_in(const ConfigVoter *voter, gconstpointer data)
{
    const GArray *databases = data;

    for (guint i = 0; i < databases->len; i++) {
        if (g_array_index(databases, uint64_t, i) == voter->database && voter->database != 0)
            return true;
    }
    return false;
}

static bool
add_database(GArray *databases, uint64_t database)
{
    for (guint i = 0; i < databases->len; i++) {
        if (g_array_index(databases, uint64_t, i) == database)
            return false;
    }
    g_array_append_val(databases, database);
    return true;
}

/* ------------------------------------------------------------------ renewing */

static void
send_renewal(Replica *r, Renewal *renewal)
{
    GByteArray *message = replica_message(r, MESSAGE_RENEW, false);

    q_put_text(message, renewal->name);
    generation_put(message, renewal->generation);
    q_put_var(message, renewal->serial);
    replica_multicast(r, message);
    renewal->again_ms = r->now.mono_ms + RENEW_AGAIN_MS;
}

static void
renewal_over(Replica *r, guint index)
{
    Renewal *renewal = r->renewals->pdata[index];
    uint64_t client = renewal->client, id = renewal->id;

    g_ptr_array_remove_index(r->renewals, index);
    replica_answer_code(r, client, id, UPDATE_OVER);
}

static void
ask_renewal(Replica *r, uint64_t client, uint64_t id, const LeaseOp *op)
{
    LeaseRecord lease;

    if (!record_lease(r->accepted->records, op->name, &lease) || lease.state != LEASE_HELD
        || generation_compare(lease.generation, op->generation) != 0
        || strcmp(lease.node, r->node) != 0) {
        replica_answer_code(r, client, id, UPDATE_OVER);
        return;
    }
    Renewal *renewal = g_new0(Renewal, 1);
    renewal->client = client;
    renewal->id = id;
    renewal->serial = ++r->serial;
    renewal->name = g_strdup(op->name);
    renewal->generation = op->generation;
    renewal->sent_ms = op->sent_ms;
    renewal->asked = r->now;
    renewal->hold_ms = lease.hold_ms;
    renewal->heard = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_ptr_array_add(r->renewals, renewal);
    send_renewal(r, renewal);
}

/* S19: heard, unless a newer generation is known or a valid take was delivered. */
static void
hear_renewal(Replica *r, const MessageHeader *header, QReader *reader)
{
    g_autofree char *name = q_get_text(reader, LEASE_NAME_MAX);
    Generation generation = generation_get(reader);
    HeardNote note = { header->node_id, q_get_var(reader) };

    if (!q_reader_done(reader))
        return;
    for (guint i = 0; r->plan != NULL && i < r->plan->queries->len; i++) {
        Query *query = r->plan->queries->pdata[i];
        if (strcmp(query->name, name) == 0
            && generation_compare(query->generation, generation) == 0)
            query->spoiled = true;
    }
    LeaseClock *clock = clock_of(r, name);
    if (generation_compare(generation, clock->generation) < 0
        || generation_compare(generation, clock->taken) == 0 || own_database(r) == 0)
        return;
    if (generation_compare(generation, clock->generation) == 0) {
        clock->since = r->now;
        clock->renewed_mono_ms = r->now.mono_ms;
    }
    g_array_append_val(r->heard, note);
    if (r->heard_due_ms == 0)
        r->heard_due_ms = r->now.mono_ms + HEARD_BATCH_MS;
}

static void
send_heard(Replica *r)
{
    GByteArray *message = replica_message(r, MESSAGE_HEARD, false);

    q_put_u64(message, r->database);
    q_put_var(message, replica_config(r)->number);
    q_put_var(message, r->heard->len);
    for (guint i = 0; i < r->heard->len; i++) {
        const HeardNote *note = &g_array_index(r->heard, HeardNote, i);
        q_put_var(message, note->node_id);
        q_put_var(message, note->serial);
    }
    replica_multicast(r, message);
    g_array_set_size(r->heard, 0);
    r->heard_due_ms = 0;
}

static void
count_heard(Replica *r, guint index, uint64_t database)
{
    Renewal *renewal = r->renewals->pdata[index];
    const Config *config = replica_config(r);

    add_database(renewal->heard, database);
    if (config == NULL || !config_majority(config, database_is_in, renewal->heard))
        return;
    LeaseClock *clock = clock_of(r, renewal->name);
    if (generation_compare(clock->generation, renewal->generation) != 0
        || !lease_hold_heard(&clock->hold, &renewal->asked, &r->now)) {
        renewal_over(r, index);
        return;
    }
    clock->heard_sent_ms = MAX(clock->heard_sent_ms, renewal->sent_ms);
    UpdateResult result = { .code = UPDATE_DONE,
                            .generation = renewal->generation,
                            .sent_ms = renewal->sent_ms };
    uint64_t client = renewal->client, id = renewal->id;
    g_ptr_array_remove_index(r->renewals, index);
    replica_answer(r, client, id, &result);
}

static void
read_heard(Replica *r, QReader *reader)
{
    uint64_t database = q_get_u64(reader);
    uint64_t number = q_get_var(reader);
    size_t n = q_get_count(reader, 2);

    /* S4: who knows newer voters than we do may have let them decide without us. */
    if (replica_config(r) == NULL || number > replica_config(r)->number)
        return;
    for (; n > 0 && !reader->failed; n--) {
        uint32_t node_id = (uint32_t)q_get_var(reader);
        uint64_t serial = q_get_var(reader);
        for (guint i = 0; node_id == r->node_id && !reader->failed && i < r->renewals->len; i++) {
            if (((Renewal *)r->renewals->pdata[i])->serial == serial) {
                count_heard(r, i, database);
                break;
            }
        }
    }
}

/* ------------------------------------------------------------------ taking */

static void
send_take(Replica *r, Take *take, uint64_t query)
{
    Update *update = update_new();
    UpdateChange *change = update_add_change(update, CHANGE_LEASE_TAKE);

    change->text[0] = g_strdup(take->name);
    change->text[1] = g_strdup(take->process);
    change->generation = take->from;
    change->number = take->hold_ms;
    change->number2 = take->lapse_ms;
    Request *request = sender_add(r, take->client, take->id, update);
    request->take = g_strdup(take->name);
    request->query = query;
    request->serial = take->serial;
    take->requested = true;
}

static void
end_take(Replica *r, Take *take, UpdateCode code)
{
    UpdateResult result = { .code = code, .left_ms = code == UPDATE_HELD ? take->left_ms : 0 };
    uint64_t client = take->client, id = take->id;

    g_ptr_array_remove(r->takes, take);
    replica_answer(r, client, id, &result);
}

static void
send_query(Replica *r, Take *take)
{
    GByteArray *message = replica_message(r, MESSAGE_QUERY, true);

    take->query = ++r->serial;
    take->query_ms = r->now.mono_ms;
    take->no = 0;
    q_put_var(message, take->query);
    q_put_text(message, take->name);
    generation_put(message, take->from);
    replica_multicast(r, message);
}

/* A lease that is free, or our own, is asked for at once; another's after a vote (S21, S22). */
static void
pursue_take(Replica *r, Take *take)
{
    LeaseRecord lease;
    OffRecord off;

    if (take->requested || !replica_is_ready(r))
        return;
    if (!record_lease(r->accepted->records, take->name, &lease) || lease.state == LEASE_FREE) {
        take->from = (Generation){ 0 };
        send_take(r, take, 0);
    } else if (lease.state == LEASE_FENCED) {
        take->left_ms = -1;
        end_take(r, take, UPDATE_HELD);
    } else if (strcmp(lease.node, r->node) == 0
               || (record_off(r->accepted->records, lease.node, &off) && off.state == OFF_DONE
                   && strcmp(off.boot, lease.boot) == 0)) {
        take->from = lease.generation;
        send_take(r, take, 0);
    } else if (take->query == 0) {
        take->from = lease.generation;
        take->left_ms = lease_left(r, take->name, &lease);
        if (take->left_ms > 0)
            end_take(r, take, UPDATE_HELD); /* our own voice would be a no already */
        else
            send_query(r, take);
    } else if (r->now.mono_ms - take->query_ms >= QUERY_WAIT_MS) {
        if (r->now.mono_ms >= take->until_ms)
            end_take(r, take, UPDATE_HELD);
        else
            send_query(r, take);
    }
}

static void
ask_take(Replica *r, uint64_t client, uint64_t id, const LeaseOp *op)
{
    if (r->quorum == QUORUM_NO) {
        replica_answer_code(r, client, id, UPDATE_NO_QUORUM);
        return;
    }
    Take *take = g_new0(Take, 1);
    take->client = client;
    take->id = id;
    take->serial = ++r->serial;
    take->name = g_strdup(op->name);
    take->process = g_strdup(op->process != NULL ? op->process : "");
    take->hold_ms = op->hold_ms;
    take->lapse_ms = op->lapse_ms;
    take->until_ms = r->now.mono_ms + TAKE_WAIT_MS;
    g_ptr_array_add(r->takes, take);
    pursue_take(r, take);
}

static Take *
find_take(Replica *r, uint64_t serial)
{
    for (guint i = 0; i < r->takes->len; i++) {
        Take *take = r->takes->pdata[i];
        if (take->serial == serial)
            return take;
    }
    return NULL;
}

/* The update of a take has its result: the generation is the place of the grant (S18). */
void
lease_take_done(Replica *r, Request *request, UpdateResult *result)
{
    Take *take = find_take(r, request->serial);
    LeaseRecord lease;

    if (result->code == UPDATE_DONE && record_lease(r->visible->records, request->take, &lease)) {
        result->generation = lease.generation;
        if (lease.generation.sequence != result->sequence)
            result->code = UPDATE_OVER; /* taken, and already another's */
    }
    if (take != NULL) {
        if (result->code == UPDATE_HELD)
            result->left_ms = take->left_ms;
        g_ptr_array_remove(r->takes, take);
    }
    replica_answer(r, request->client, request->id, result);
}

/* ------------------------------------------------------------------ voting */

static void
read_query(Replica *r, const MessageHeader *header, QReader *reader)
{
    uint64_t id = q_get_var(reader);
    g_autofree char *name = q_get_text(reader, LEASE_NAME_MAX);
    Generation generation = generation_get(reader);
    LeaseRecord lease;

    if (!q_reader_done(reader) || r->plan == NULL)
        return;
    Query *query = g_new0(Query, 1);
    query->taker = header->node_id;
    query->id = id;
    query->name = g_steal_pointer(&name);
    query->generation = generation;
    query->chain = r->plan->chain;
    query->yes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_ptr_array_add(r->plan->queries, query);
    if (r->plan->queries->len > CONFIG_VOTERS_MAX)
        g_ptr_array_remove_index(r->plan->queries, 0);
    if (!replica_is_ready(r) || own_database(r) == 0)
        return;

    bool known = record_lease(r->accepted->records, query->name, &lease)
                 && lease.state == LEASE_HELD
                 && generation_compare(lease.generation, generation) == 0;
    int64_t left_ms = known ? lease_left(r, query->name, &lease) : 0;
    GByteArray *message = replica_message(r, MESSAGE_VOTE, true);
    q_put_var(message, header->node_id);
    q_put_var(message, id);
    q_put_u64(message, r->database);
    digest_put(message, query->chain);
    q_put_u8(message, known && left_ms == 0);
    q_put_var(message, (uint64_t)left_ms);
    replica_multicast(r, message);
}

static Query *
find_query(const Replica *r, uint32_t taker, uint64_t id)
{
    for (guint i = 0; r->plan != NULL && i < r->plan->queries->len; i++) {
        Query *query = r->plan->queries->pdata[i];
        if (query->taker == taker && query->id == id)
            return query;
    }
    return NULL;
}

static void
read_vote(Replica *r, QReader *reader)
{
    uint32_t taker = (uint32_t)q_get_var(reader);
    uint64_t id = q_get_var(reader);
    uint64_t database = q_get_u64(reader);
    Digest chain = digest_get(reader);
    bool yes = q_get_u8(reader) == 1;
    int64_t left_ms = (int64_t)q_get_var_max(reader, G_MAXINT32);
    Query *query = find_query(r, taker, id);

    if (!q_reader_done(reader) || query == NULL || !digest_equal(query->chain, chain))
        return;
    if (yes)
        add_database(query->yes, database);
    if (taker != r->node_id)
        return;
    for (guint i = 0; i < r->takes->len; i++) {
        Take *take = r->takes->pdata[i];
        if (take->query != id || take->requested)
            continue;
        if (yes && !query->spoiled && lease_votes_suffice(replica_config(r), query->yes)) {
            send_take(r, take, id);
        } else if (!yes) {
            take->left_ms = take->no++ == 0 ? left_ms : MAX(take->left_ms, left_ms);
        }
        return;
    }
}

/* S21: who said yes in this view, if the holder has not been heard since; else NULL. What they
 * weigh is decided at acceptance, under the voters of that place. (transfer full) */
GArray *
lease_take_votes(const Replica *r, uint32_t taker, uint64_t query_id)
{
    const Query *query = find_query(r, taker, query_id);

    return query == NULL || query->spoiled ? NULL : g_array_copy(query->yes);
}

bool
lease_votes_suffice(const Config *config, const GArray *yes)
{
    return config != NULL && yes != NULL && config_majority(config, database_is_in, yes);
}

/* S19: from the delivery of a valid take on nobody hears the old generation any more. */
void
lease_take_delivered(Replica *r, uint32_t taker, uint64_t query_id)
{
    const Query *query = find_query(r, taker, query_id);

    if (query != NULL && !query->spoiled && lease_votes_suffice(replica_config(r), query->yes))
        clock_of(r, query->name)->taken = query->generation;
}

/* ------------------------------------------------------------------ calls, view, time */

void
lease_request(Replica *r, uint64_t client, uint64_t id, const LeaseOp *op)
{
    if (*op->name == '\0' || strlen(op->name) > LEASE_NAME_MAX) {
        replica_answer_code(r, client, id, UPDATE_BAD);
    } else if (op->kind == LEASE_TAKE) {
        ask_take(r, client, id, op);
    } else if (op->kind == LEASE_RENEW) {
        ask_renewal(r, client, id, op);
    } else {
        Update *update = update_new();
        UpdateChange *change = update_add_change(update, CHANGE_LEASE_RELEASE);
        change->text[0] = g_strdup(op->name);
        change->generation = op->generation;
        sender_request(r, client, id, update);
    }
}

void
lease_message(Replica *r, const MessageHeader *header, QReader *reader)
{
    switch (header->type) {
    case MESSAGE_RENEW:
        hear_renewal(r, header, reader);
        break;
    case MESSAGE_HEARD:
        read_heard(r, reader);
        break;
    case MESSAGE_QUERY:
        read_query(r, header, reader);
        break;
    default:
        read_vote(r, reader);
    }
}

/* A confchg may have swallowed what was under way: said again at once (S19). Votes are void. */
void
lease_view(Replica *r)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, r->clocks); /* order does not matter: all alike */
    while (g_hash_table_iter_next(&iter, NULL, &value))
        ((LeaseClock *)value)->taken = (Generation){ 0 };
    for (guint i = 0; i < r->takes->len; i++)
        ((Take *)r->takes->pdata[i])->query = 0;
    for (guint i = 0; r->in_view && i < r->renewals->len; i++)
        send_renewal(r, r->renewals->pdata[i]);
}

bool
lease_cancel(Replica *r, uint64_t client, uint64_t id)
{
    for (guint i = 0; i < r->takes->len; i++) {
        Take *take = r->takes->pdata[i];
        if (take->client == client && take->id == id && !take->requested) {
            end_take(r, take, UPDATE_CANCELLED);
            return true;
        }
    }
    for (guint i = 0; i < r->renewals->len; i++) {
        Renewal *renewal = r->renewals->pdata[i];
        if (renewal->client == client && renewal->id == id) {
            g_ptr_array_remove_index(r->renewals, i);
            replica_answer_code(r, client, id, UPDATE_CANCELLED);
            return true;
        }
    }
    return false;
}

void
lease_refuse(Replica *r)
{
    for (guint i = r->takes->len; i > 0; i--) {
        Take *take = r->takes->pdata[i - 1];
        if (!take->requested)
            end_take(r, take, UPDATE_NO_QUORUM);
    }
}

void
lease_idle(Replica *r)
{
    if (r->heard_due_ms != 0 && r->now.mono_ms >= r->heard_due_ms && r->in_view)
        send_heard(r);
    for (guint i = r->renewals->len; i > 0; i--) {
        Renewal *renewal = r->renewals->pdata[i - 1];
        LeaseClock *clock = clock_of(r, renewal->name);
        if (generation_compare(clock->generation, renewal->generation) > 0
            || clocks_elapsed_holder(&renewal->asked, &r->now) >= renewal->hold_ms)
            renewal_over(r, i - 1);
        else if (r->in_view && r->now.mono_ms >= renewal->again_ms)
            send_renewal(r, renewal);
    }
    for (guint i = r->takes->len; i > 0; i--)
        pursue_take(r, r->takes->pdata[i - 1]);
}

int64_t
lease_wake(const Replica *r)
{
    int64_t wake = r->heard_due_ms != 0 ? r->heard_due_ms : INT64_MAX;

    for (guint i = 0; i < r->renewals->len; i++)
        wake = MIN(wake, ((Renewal *)r->renewals->pdata[i])->again_ms);
    for (guint i = 0; i < r->takes->len; i++) {
        const Take *take = r->takes->pdata[i];
        if (!take->requested && take->query != 0)
            wake = MIN(wake, take->query_ms + QUERY_WAIT_MS);
    }
    return wake;
}

#include <string.h>
#include "cfs/core/replica_priv.h"

/* Calls of this node's clients on their way into the order, and back (S14, S15). */

void
request_free(gpointer data)
{
    Request *request = data;

    g_clear_pointer(&request->update, g_bytes_unref);
    g_clear_pointer(&request->body, g_bytes_unref);
    g_free(request->take);
    g_free(request);
}

static void
answer(Replica *r, const Request *request, const UpdateResult *result)
{
    if (!request->internal && !request->abandoned)
        replica_answer(r, request->client, request->id, result);
}

static void
answer_code(Replica *r, Request *request, UpdateCode code)
{
    UpdateResult result = { .code = code };

    if (request->take != NULL && !request->abandoned)
        lease_take_done(r, request, &result);
    else
        answer(r, request, &result);
}

/* ------------------------------------------------------------------ in */

Request *
sender_add(Replica *r, uint64_t client, uint64_t id, Update *update)
{
    Request *request = g_new0(Request, 1);

    request->client = client;
    request->id = id;
    request->update = update_encode(update);
    update_free(update);
    g_queue_push_tail(&r->waiting, request);
    return request;
}

void
sender_internal(Replica *r, Update *update)
{
    sender_add(r, 0, 0, update)->internal = true;
}

void
sender_request(Replica *r, uint64_t client, uint64_t id, Update *update)
{
    if (r->quorum == QUORUM_NO) {
        update_free(update);
        replica_answer_code(r, client, id, UPDATE_NO_QUORUM);
    } else if (r->waiting.length >= REPLICA_WAITING_MAX) {
        update_free(update);
        replica_answer_code(r, client, id, UPDATE_OVERLOADED);
    } else {
        Request *request = sender_add(r, client, id, update);
        if (g_bytes_get_size(request->update) > UPDATE_BYTES_MAX - 1024) {
            g_queue_remove(&r->waiting, request);
            answer_code(r, request, UPDATE_TOO_BIG);
            request_free(request);
        }
    }
}

void
sender_cancel(Replica *r, uint64_t client, uint64_t id)
{
    for (GList *at = r->waiting.head; at != NULL; at = at->next) {
        Request *request = at->data;
        if (!request->internal && request->client == client && request->id == id) {
            g_queue_delete_link(&r->waiting, at);
            answer_code(r, request, UPDATE_CANCELLED);
            request_free(request);
            return;
        }
    }
    for (GList *at = r->flight.head; at != NULL; at = at->next) {
        Request *request = at->data;
        if (!request->internal && !request->abandoned && request->client == client
            && request->id == id) {
            answer_code(r, request, UPDATE_UNKNOWN);
            request->abandoned = true;
            return;
        }
    }
}

/* Nothing may change: who waits is told so, certainly and at once (S1). */
void
sender_refuse(Replica *r)
{
    Request *request;

    while ((request = g_queue_pop_head(&r->waiting)) != NULL) {
        answer_code(r, request, UPDATE_NO_QUORUM);
        request_free(request);
    }
    r->config_asked = false;
}

/* What was sent may still be accepted by others: unknown, said in bounded time (S14). */
void
sender_give_up(Replica *r)
{
    for (GList *at = r->flight.head; at != NULL; at = at->next) {
        Request *request = at->data;
        if (request->abandoned)
            continue;
        answer_code(r, request, UPDATE_UNKNOWN);
        request->abandoned = true;
    }
}

/* ------------------------------------------------------------------ out */

static void
put_part(GByteArray *message, const Request *request, uint32_t offset, size_t length)
{
    gsize total;
    const uint8_t *data = g_bytes_get_data(request->body, &total);

    q_put_var(message, request->number);
    q_put_var(message, request->query);
    q_put_var(message, offset);
    q_put_var(message, total);
    q_put_data(message, data + offset, length);
}

/* Small updates share a message, a large one takes several. */
static void
send_requests(Replica *r, GPtrArray *requests)
{
    GByteArray *message = NULL;
    guint start = 0;

    for (guint i = 0; i < requests->len; i++) {
        const Request *request = requests->pdata[i];
        size_t total = g_bytes_get_size(request->body), offset = 0;
        do {
            size_t room = message == NULL
                              ? WIRE_PAYLOAD_MAX
                              : WIRE_PAYLOAD_MAX - MIN(message->len - start + 32, WIRE_PAYLOAD_MAX);
            if (message != NULL && room < MIN(total - offset, 4096)) {
                replica_multicast(r, message);
                message = NULL;
                continue;
            }
            if (message == NULL) {
                message = replica_message(r, MESSAGE_DATA, true);
                start = message->len;
                room = WIRE_PAYLOAD_MAX;
            }
            size_t length = MIN(total - offset, room);
            put_part(message, request, (uint32_t)offset, length);
            offset += length;
        } while (offset < total);
    }
    if (message != NULL)
        replica_multicast(r, message);
}

/* All of ours up to this number are answered: their results need not be kept. */
static uint64_t
settled(const Replica *r)
{
    return r->flight.length > 0 ? ((Request *)r->flight.head->data)->number - 1 : r->last_number;
}

static void
make_body(Replica *r, Request *request)
{
    UpdateEnvelope envelope = { .settled = settled(r), .time_s = r->now.wall_s };
    GByteArray *bytes = g_byte_array_new();

    g_strlcpy(envelope.node, r->node, sizeof envelope.node);
    g_strlcpy(envelope.boot, r->boot, sizeof envelope.boot);
    if (request->abandoned) {
        /* Its caller was told that nobody knows; its number must be taken, its effect need not. */
        Update *nothing = update_new();
        g_autoptr(GBytes) encoded = update_encode(nothing);
        update_free(nothing);
        envelope_encode(bytes, &envelope, encoded);
    } else {
        envelope_encode(bytes, &envelope, request->update);
    }
    g_clear_pointer(&request->body, g_bytes_unref);
    request->body = g_byte_array_free_to_bytes(bytes);
}

static uint64_t
own_last(const State *state, const Replica *r)
{
    SenderRecord sender;

    record_sender(state->records, r->node_id, &sender);
    return sender.incarnation == r->incarnation ? sender.last : 0;
}

/* After a new epoch, a gap or a long silence: those that are not in go again, in their order. */
static void
collect_again(Replica *r, GPtrArray *requests)
{
    uint64_t last = own_last(r->accepted, r);

    for (GList *at = r->flight.head; at != NULL; at = at->next) {
        Request *request = at->data;
        if (request->number <= last)
            continue;
        if (request->abandoned || request->query != 0) {
            /* A vote belongs to its view; the take is decided anew, without one. */
            request->query = 0;
            make_body(r, request);
        }
        request->sent_ms = r->now.mono_ms;
        g_ptr_array_add(requests, request);
    }
}

void
sender_idle(Replica *r)
{
    g_autoptr(GPtrArray) requests = g_ptr_array_new();

    sender_settle(r);
    if (!replica_is_ready(r) || r->quorum != QUORUM_YES)
        return;
    if (r->flight.length > 0 && !r->resend) {
        const Request *first = r->flight.head->data;
        r->resend = r->now.mono_ms - first->sent_ms >= RESEND_MS
                    && first->number > own_last(r->accepted, r);
    }
    if (r->resend)
        collect_again(r, requests);
    r->resend = false;
    while (r->flight.length < REPLICA_IN_FLIGHT_MAX && r->waiting.length > 0
           && !order_under_way(r, r->plan->data_sent_ms)) {
        Request *request = g_queue_pop_head(&r->waiting);
        request->stage = REQUEST_FLIGHT;
        request->sent_ms = r->now.mono_ms;
        make_body(r, request);
        request->number = ++r->last_number;
        g_queue_push_tail(&r->flight, request);
        g_ptr_array_add(requests, request);
    }
    if (requests->len > 0)
        r->plan->data_sent_ms = r->now.mono_ms;
    send_requests(r, requests);
}

int64_t
sender_wake(const Replica *r)
{
    if (r->flight.length == 0 || !replica_is_ready(r))
        return INT64_MAX;
    int64_t again = ((Request *)r->flight.head->data)->sent_ms + RESEND_MS;
    return r->waiting.length > 0 && r->plan->data_sent_ms != 0
               ? MIN(again, r->plan->data_sent_ms + UNDER_WAY_MS)
               : again;
}

/* ------------------------------------------------------------------ back */

static bool
own_disk_has(const Replica *r, uint64_t sequence)
{
    return epoch_equal(r->durable.installed, r->installed) && r->durable.sequence >= sequence;
}

static bool
find_result(const SenderRecord *sender, uint64_t number, UpdateResult *result)
{
    uint64_t first = sender->last - sender->n_results + 1;

    if (number < first || number > sender->last)
        return false;
    const SenderResult *found = &sender->results[number - first];
    *result =
        (UpdateResult){ .code = found->code, .which = found->which, .sequence = found->sequence };
    return true;
}

/* Answers are given from committed state alone, so that they hold whatever happens next (S14). */
void
sender_settle(Replica *r)
{
    SenderRecord sender;

    if (r->flight.length == 0)
        return;
    record_sender(r->visible->records, r->node_id, &sender);
    if (sender.incarnation != r->incarnation)
        return;
    while (r->flight.length > 0) {
        Request *request = r->flight.head->data;
        UpdateResult result;
        if (request->number > sender.last)
            return;
        if (!find_result(&sender, request->number, &result))
            result = (UpdateResult){ .code = UPDATE_UNKNOWN };
        else if (!request->abandoned && !own_disk_has(r, result.sequence))
            return; /* S12: a majority, oneself among them */
        g_queue_pop_head(&r->flight);
        if (request->take != NULL && !request->abandoned)
            lease_take_done(r, request, &result);
        else
            answer(r, request, &result);
        if (request->internal)
            r->config_asked = false;
        request_free(request);
    }
}

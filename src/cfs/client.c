#include "cfs/client.h"
#include "cfs/client_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/paths.h"

enum {
    PROTOCOL_VERSION = 1,
    RETRY_MS = 100,     /* between tries to connect */
    CONNECT_MS = 1000,  /* how long a waiting call tries: a killed cfsd is back by then */
    IN_FLIGHT_MAX = 64, /* the server refuses more */
    EXPIRY_MS = 1000,   /* how often old requests are looked for */
};

typedef struct {
    CfsReplyFunc reply;
    gpointer data;
    int64_t deadline_ms;
} Pending;

typedef struct {
    uint64_t id;
    char **prefixes;
    char **what;
    CfsWatchFunc notify;
    gpointer data;
} Watch;

typedef enum { LINK_DOWN, LINK_HELLO, LINK_UP } LinkState;

struct CfsClient {
    gatomicrefcount refs; /* a callback may free the client */
    bool ended;
    char *path;
    char *program;
    GMainContext *context;
    LinkState link;
    int fd;
    GSource *source; /* of fd; only for async clients and after cfs_client_send() */
    GSource *timer;  /* reconnects, or looks for old requests */
    bool async;
    bool was_connected;
    CfsClientFunc connected;
    CfsClientFunc lost;
    gpointer data;
    char *node;
    char *boot;
    char *cluster;
    uint64_t last_id;
    GHashTable *pending; /* id → Pending */
    GQueue outgoing;     /* CfsFrame, not yet sent */
    GQueue deferred;     /* JsonObject that came while a waiting call ran */
    GSource *deferred_source;
    GPtrArray *watches;
    int64_t last_left_ms; /* what the last refusal of a waiting call said */
    JsonObject *refusal;  /* borrowed: behind "error", while its reply function runs */
};

static void client_link_lost(CfsClient *client);
static void client_handle(CfsClient *client, JsonObject *message);
static void client_wake(CfsClient *client);

/* ------------------------------------------------------------------ life */

static void
watch_free(gpointer data)
{
    Watch *watch = data;
    g_strfreev(watch->prefixes);
    g_strfreev(watch->what);
    g_free(watch);
}

static CfsClient *
client_new(const char *path, const char *program)
{
    CfsClient *client = g_new0(CfsClient, 1);

    g_atomic_ref_count_init(&client->refs);
    client->path = g_strdup(path);
    client->program = g_strdup(program);
    client->context = g_main_context_ref_thread_default();
    client->fd = -1;
    client->node = g_strdup("");
    client->boot = g_strdup("");
    client->cluster = g_strdup("");
    client->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    client->watches = g_ptr_array_new_with_free_func(watch_free);
    g_queue_init(&client->outgoing);
    g_queue_init(&client->deferred);
    return client;
}

static void
client_unref(CfsClient *client)
{
    if (!g_atomic_ref_count_dec(&client->refs)) {
        return;
    }
    g_hash_table_unref(client->pending);
    g_ptr_array_unref(client->watches);
    g_main_context_unref(client->context);
    g_free(client->path);
    g_free(client->program);
    g_free(client->node);
    g_free(client->boot);
    g_free(client->cluster);
    g_free(client);
}

static void
drop_source(GSource **source)
{
    if (*source != NULL) {
        g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
    }
}

static GSource *
add_source(CfsClient *client, GSource *source, GSourceFunc func)
{
    g_source_set_callback(source, func, client, NULL);
    g_source_attach(source, client->context);
    return source;
}

static void
client_close(CfsClient *client)
{
    drop_source(&client->source);
    if (client->fd >= 0) {
        close(client->fd);
    }
    client->fd = -1;
    client->link = LINK_DOWN;
    g_queue_clear_full(&client->outgoing, (GDestroyNotify)cfs_frame_free);
}

static void
answer_all(CfsClient *client, const char *why)
{
    g_autoptr(GHashTable) pending = client->pending;
    g_autoptr(GError) error =
        g_error_new(Q_ERROR, Q_ERROR_UNKNOWN, "%s: the request may have taken effect", why);
    GHashTableIter iter;
    Pending *one;

    client->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_hash_table_iter_init(&iter, pending);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&one)) {
        one->reply(client, NULL, error, one->data);
    }
}

void
cfs_client_free(CfsClient *client)
{
    if (client == NULL || client->ended) {
        return;
    }
    client->ended = true;
    client_close(client);
    drop_source(&client->timer);
    drop_source(&client->deferred_source);
    answer_all(client, "the client ends");
    g_queue_clear_full(&client->deferred, (GDestroyNotify)json_object_unref);
    client_unref(client);
}

const char *
cfs_client_node(const CfsClient *client)
{
    return client->node;
}

const char *
cfs_client_boot(const CfsClient *client)
{
    return client->boot;
}

const char *
cfs_client_cluster(const CfsClient *client)
{
    return client->cluster;
}

int64_t
cfs_client_left_ms(const CfsClient *client)
{
    return client->last_left_ms;
}

/* ------------------------------------------------------------------ sending */

/* Sends what waits, as far as the socket takes it. */
static bool
flush_outgoing(CfsClient *client)
{
    while (client->link != LINK_DOWN && !g_queue_is_empty(&client->outgoing)) {
        switch (cfs_frame_send(client->fd, g_queue_peek_head(&client->outgoing))) {
        case CFS_FRAME_DONE:
            cfs_frame_free(g_queue_pop_head(&client->outgoing));
            break;
        case CFS_FRAME_AGAIN:
            return true;
        default:
            return false;
        }
    }
    return true;
}

static bool
send_message(CfsClient *client, JsonObject *message, GError **error)
{
    CfsFrame *frame = cfs_frame_new(message, error);

    if (frame == NULL) {
        return false;
    }
    g_queue_push_tail(&client->outgoing, frame);
    /* A broken connection shows when it is read. */
    flush_outgoing(client);
    return true;
}

static uint64_t
send_request(CfsClient *client, const char *op, JsonObject *arguments, CfsReplyFunc reply,
             gpointer data, int timeout_ms, GError **error)
{
    JsonObject *message = arguments != NULL ? arguments : json_object_new();
    uint64_t id = ++client->last_id;

    json_object_set_int_member(message, "id", id);
    json_object_set_string_member(message, "op", op);
    if (!send_message(client, message, error)) {
        return 0;
    }
    Pending *pending = g_new0(Pending, 1);
    pending->reply = reply;
    pending->data = data;
    pending->deadline_ms = q_clock_boot_ms() + timeout_ms;
    g_hash_table_insert(client->pending, g_memdup2(&id, sizeof id), pending);
    return id;
}

static void
send_watch(CfsClient *client, Watch *watch)
{
    JsonObject *message = json_object_new();
    JsonArray *prefixes = json_array_new();

    watch->id = ++client->last_id;
    json_object_set_int_member(message, "id", watch->id);
    json_object_set_string_member(message, "op", "watch");
    for (char **prefix = watch->prefixes; *prefix != NULL; prefix++) {
        json_array_add_string_element(prefixes, *prefix);
    }
    json_object_set_array_member(message, "prefixes", prefixes);
    for (char **what = watch->what; *what != NULL; what++) {
        json_object_set_boolean_member(message, *what, TRUE);
    }
    send_message(client, message, NULL);
}

/* ------------------------------------------------------------------ connecting */

static bool
open_socket(CfsClient *client, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, client->path, sizeof address.sun_path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        g_set_error(error, Q_ERROR, Q_ERROR_UNREACHABLE,
                    "quorate-cfsd does not answer on %s: %s; start it with 'systemctl start "
                    "quorate-cfsd'",
                    client->path, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    client->fd = fd;
    client->link = LINK_HELLO;

    JsonObject *hello = json_object_new();
    json_object_set_string_member(hello, "op", "hello");
    json_object_set_string_member(hello, "program", client->program);
    json_object_set_int_member(hello, "version", PROTOCOL_VERSION);
    return send_message(client, hello, error);
}

static void
take_word(char **field, JsonObject *ok, const char *name)
{
    g_free(*field);
    *field = g_strdup(q_json_string(ok, name, ""));
}

static void
handle_hello(CfsClient *client, JsonObject *message)
{
    JsonObject *ok = q_json_object(message, "ok");
    bool again = client->was_connected;

    if (ok == NULL) {
        client_link_lost(client);
        return;
    }
    take_word(&client->node, ok, "node");
    take_word(&client->boot, ok, "boot");
    take_word(&client->cluster, ok, "cluster");
    client->link = LINK_UP;
    client->was_connected = true;
    for (guint i = 0; i < client->watches->len; i++) {
        send_watch(client, client->watches->pdata[i]);
    }
    if (client->connected != NULL) {
        client->connected(client, client->data);
    }
    for (guint i = 0; again && !client->ended && i < client->watches->len; i++) {
        Watch *watch = client->watches->pdata[i];
        watch->notify(client, NULL, watch->data);
    }
}

/* ------------------------------------------------------------------ receiving */

static void
handle_watch(CfsClient *client, JsonObject *message)
{
    uint64_t id = q_json_int(message, "watch", 0);

    for (guint i = 0; i < client->watches->len; i++) {
        Watch *watch = client->watches->pdata[i];
        if (watch->id == id) {
            watch->notify(client, message, watch->data);
            return;
        }
    }
}

static void
handle_reply(CfsClient *client, JsonObject *message)
{
    uint64_t id = q_json_int(message, "id", 0);
    JsonObject *ok = q_json_object(message, "ok");
    JsonObject *refusal = q_json_object(message, "error");
    g_autofree char *key = NULL;
    g_autofree Pending *pending = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_hash_table_steal_extended(client->pending, &id, (gpointer *)&key,
                                     (gpointer *)&pending)) {
        return; /* given up on, or the answer to a watch */
    }
    if (ok == NULL) {
        g_set_error_literal(&error, Q_ERROR,
                            refusal != NULL
                                ? q_error_code_parse(q_json_string(refusal, "code", "INTERNAL"))
                                : Q_ERROR_INTERNAL,
                            refusal != NULL ? q_json_string(refusal, "message", "no reason given")
                                            : "an answer without \"ok\"");
        client->refusal = refusal;
        pending->reply(client, NULL, error, pending->data);
        client->refusal = NULL;
        return;
    }
    pending->reply(client, ok, NULL, pending->data);
}

static void
client_handle(CfsClient *client, JsonObject *message)
{
    if (json_object_has_member(message, "watch")) {
        handle_watch(client, message);
    } else if (json_object_has_member(message, "id")) {
        handle_reply(client, message);
    } else {
        handle_hello(client, message);
    }
}

/* Reads one message. Returns: false when there is none (now, or any more). */
static bool
receive_one(CfsClient *client, JsonObject **message)
{
    g_autoptr(CfsFrame) frame = NULL;
    g_autoptr(GError) error = NULL;

    if (client->fd < 0) {
        return false;
    }
    CfsFrameResult result = cfs_frame_receive(client->fd, &frame, &error);
    if (result == CFS_FRAME_AGAIN) {
        return false;
    }
    if (result != CFS_FRAME_DONE || !cfs_frame_inline(frame, &error)) {
        client_link_lost(client);
        return false;
    }
    *message = json_object_ref(cfs_frame_object(frame));
    return true;
}

static gboolean
on_deferred(gpointer data)
{
    CfsClient *client = data;

    g_atomic_ref_count_inc(&client->refs);
    drop_source(&client->deferred_source);
    while (!client->ended && !g_queue_is_empty(&client->deferred)) {
        g_autoptr(JsonObject) message = g_queue_pop_head(&client->deferred);
        client_handle(client, message);
    }
    client_unref(client);
    return G_SOURCE_REMOVE;
}

static void
defer(CfsClient *client, JsonObject *message)
{
    g_queue_push_tail(&client->deferred, json_object_ref(message));
    if (client->deferred_source == NULL) {
        client->deferred_source = add_source(client, g_idle_source_new(), on_deferred);
        g_source_set_priority(client->deferred_source, G_PRIORITY_DEFAULT);
    }
}

static gboolean
on_socket(gint fd, GIOCondition condition, gpointer data)
{
    CfsClient *client = data;
    JsonObject *message = NULL;

    g_atomic_ref_count_inc(&client->refs);
    /* What came earlier, while a waiting call ran, is handled earlier. */
    if (client->deferred_source != NULL) {
        on_deferred(client);
    }
    while (!client->ended && receive_one(client, &message)) {
        g_autoptr(JsonObject) owned = g_steal_pointer(&message);
        client_handle(client, owned);
    }
    if (!client->ended && !flush_outgoing(client)) {
        client_link_lost(client);
    }
    client_wake(client);
    client_unref(client);
    return G_SOURCE_REMOVE; /* client_wake() made the next source */
}

/* The main loop is to look at the socket (and for room in it, if something waits). */
static void
client_wake(CfsClient *client)
{
    GIOCondition condition = G_IO_IN;

    drop_source(&client->source);
    if (client->ended || client->link == LINK_DOWN) {
        return;
    }
    if (!g_queue_is_empty(&client->outgoing)) {
        condition |= G_IO_OUT;
    }
    client->source = g_unix_fd_source_new(client->fd, condition);
    add_source(client, client->source, G_SOURCE_FUNC(on_socket));
}

/* ------------------------------------------------------------------ time */

static void
expire_old(CfsClient *client)
{
    int64_t now_ms = q_clock_boot_ms();
    g_autoptr(GArray) old = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, client->pending);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (((Pending *)value)->deadline_ms <= now_ms) {
            g_array_append_vals(old, key, 1);
        }
    }
    for (guint i = 0; i < old->len && !client->ended; i++) {
        g_autofree char *id = NULL;
        g_autofree Pending *pending = NULL;
        g_autoptr(GError) error = g_error_new_literal(
            Q_ERROR, Q_ERROR_UNKNOWN,
            "quorate-cfsd did not answer in time: the request may still take effect");
        if (g_hash_table_steal_extended(client->pending, &g_array_index(old, uint64_t, i),
                                        (gpointer *)&id, (gpointer *)&pending)) {
            pending->reply(client, NULL, error, pending->data);
        }
    }
}

static gboolean
on_timer(gpointer data)
{
    CfsClient *client = data;
    bool go_on;

    g_atomic_ref_count_inc(&client->refs);
    if (client->link == LINK_DOWN && client->async && open_socket(client, NULL)) {
        client_wake(client);
    }
    expire_old(client);
    go_on =
        !client->ended
        && (g_hash_table_size(client->pending) > 0 || (client->async && client->link == LINK_DOWN));
    if (!go_on && !client->ended) {
        drop_source(&client->timer);
    }
    client_unref(client);
    return G_SOURCE_CONTINUE; /* has no effect on a source that was dropped */
}

static void
start_timer(CfsClient *client, int interval_ms)
{
    drop_source(&client->timer);
    client->timer = add_source(client, g_timeout_source_new(interval_ms), on_timer);
}

static void
client_link_lost(CfsClient *client)
{
    bool was_up = client->link == LINK_UP;

    client_close(client);
    if (client->async && !client->ended) {
        start_timer(client, RETRY_MS);
    }
    answer_all(client, "the connection to quorate-cfsd broke");
    if (was_up && client->lost != NULL && !client->ended) {
        client->lost(client, client->data);
    }
}

/* ------------------------------------------------------------------ waiting calls */

typedef struct {
    bool done;
    JsonObject *ok;
    GError *error;
    int64_t left_ms; /* of a refusal */
} Wait;

static void
on_wait_reply(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    Wait *wait = data;

    wait->done = true;
    wait->error = error != NULL ? g_error_copy(error) : NULL;
    wait->ok = ok != NULL ? json_object_ref(ok) : NULL;
    wait->left_ms = client->refusal != NULL ? q_json_int(client->refusal, "left_ms", 0) : 0;
}

static void
poll_socket(CfsClient *client, int64_t deadline_ms)
{
    struct pollfd entry = { .fd = client->fd, .events = POLLIN };
    int64_t left_ms = deadline_ms - q_clock_boot_ms();

    if (!g_queue_is_empty(&client->outgoing)) {
        entry.events |= POLLOUT;
    }
    if (left_ms > 0) {
        poll(&entry, 1, left_ms);
    }
}

static uint64_t
message_id(JsonObject *message)
{
    return q_json_int(message, "id", 0);
}

/* Handles messages until @wait is done, the link is lost, or time is up. Only the answer waited for
 * (or the greeting) is handled now; callbacks of others run later, from the main loop. */
static void
pump(CfsClient *client, uint64_t id, const bool *done, int64_t deadline_ms)
{
    JsonObject *message = NULL;

    while (!*done && client->link != LINK_DOWN && q_clock_boot_ms() < deadline_ms) {
        if (!receive_one(client, &message)) {
            if (client->link != LINK_DOWN && !flush_outgoing(client)) {
                client_link_lost(client);
            }
            if (client->link != LINK_DOWN) {
                poll_socket(client, deadline_ms);
            }
            continue;
        }
        g_autoptr(JsonObject) owned = g_steal_pointer(&message);
        if (client->link == LINK_HELLO || (message_id(owned) == id && id != 0)) {
            client_handle(client, owned);
        } else {
            defer(client, owned);
        }
        if (id == 0 && client->link == LINK_UP) {
            return;
        }
    }
}

/* A link that greets, within CONNECT_MS. */
static bool
need_link(CfsClient *client, GError **error)
{
    int64_t deadline_ms = q_clock_boot_ms() + CONNECT_MS;
    static const bool never = false;

    while (client->link != LINK_UP) {
        g_autoptr(GError) why = NULL;
        if (client->link == LINK_DOWN && !open_socket(client, &why)) {
            client_close(client);
            if (q_clock_boot_ms() >= deadline_ms) {
                g_propagate_error(error, g_steal_pointer(&why));
                return false;
            }
            g_usleep(RETRY_MS * 1000);
            continue;
        }
        pump(client, 0, &never, deadline_ms + CONNECT_MS);
        if (client->link != LINK_UP && q_clock_boot_ms() >= deadline_ms) {
            client_close(client);
            return q_set_error(error, Q_ERROR_UNREACHABLE,
                               "quorate-cfsd does not greet on %s; look at its log", client->path);
        }
    }
    if (client->async) {
        client_wake(client);
    }
    return true;
}

static bool
only_reads(const char *op)
{
    static const char *const reads[] = { "get",       "list",       "quorum",  "members", "records",
                                         "lease.get", "status.get", "log.get", NULL };
    return g_strv_contains(reads, op);
}

static JsonObject *
call_once(CfsClient *client, const char *op, JsonObject *arguments, int timeout_ms, GError **error)
{
    Wait wait = { 0 };
    int64_t deadline_ms = q_clock_boot_ms() + timeout_ms;

    if (!need_link(client, error)) {
        if (arguments != NULL) {
            json_object_unref(arguments);
        }
        return NULL;
    }
    uint64_t id = send_request(client, op, arguments, on_wait_reply, &wait, timeout_ms, error);
    if (id == 0) {
        return NULL;
    }
    pump(client, id, &wait.done, deadline_ms);
    if (!wait.done) {
        g_hash_table_remove(client->pending, &id);
        q_set_error(error, Q_ERROR_UNKNOWN,
                    "quorate-cfsd did not answer within %d ms: the request may still take effect",
                    timeout_ms);
        return NULL;
    }
    client->last_left_ms = wait.left_ms;
    if (wait.error != NULL) {
        g_propagate_error(error, wait.error);
    }
    return wait.ok;
}

JsonObject *
cfs_client_call(CfsClient *client, const char *op, JsonObject *arguments, int timeout_ms,
                GError **error)
{
    g_autoptr(JsonObject) again = NULL;
    g_autoptr(GError) why = NULL;

    /* What only reads is asked once more when cfsd was restarted meanwhile. */
    if (only_reads(op)) {
        again = arguments != NULL ? json_object_ref(arguments) : json_object_new();
    }
    JsonObject *ok = call_once(client, op, arguments, timeout_ms, &why);
    if (ok == NULL && again != NULL && client->link == LINK_DOWN
        && g_error_matches(why, Q_ERROR, Q_ERROR_UNKNOWN)) {
        g_clear_error(&why);
        ok = call_once(client, op, g_steal_pointer(&again), timeout_ms, &why);
    }
    if (client->source != NULL || client->async) {
        client_wake(client);
    }
    if (ok == NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return ok;
}

CfsClient *
cfs_client_connect_path(const char *path, const char *program, GError **error)
{
    CfsClient *client = client_new(path, program);

    if (!need_link(client, error)) {
        cfs_client_free(client);
        return NULL;
    }
    return client;
}

CfsClient *
cfs_client_connect(const char *program, GError **error)
{
    return cfs_client_connect_path(Q_CFS_SOCKET, program, error);
}

/* ------------------------------------------------------------------ nothing waits */

typedef struct {
    CfsClient *client;
    CfsReplyFunc reply;
    gpointer data;
    GError *error;
} Refusal;

static void
refusal_free(gpointer data)
{
    Refusal *refusal = data;

    client_unref(refusal->client);
    g_error_free(refusal->error);
    g_free(refusal);
}

static gboolean
on_refusal(gpointer data)
{
    Refusal *refusal = data;

    refusal->reply(refusal->client, NULL, refusal->error, refusal->data);
    return G_SOURCE_REMOVE;
}

/* Calls @reply with @error (transfer full) from the main loop. */
static void
refuse_later(CfsClient *client, CfsReplyFunc reply, gpointer data, GError *error)
{
    Refusal *refusal = g_new0(Refusal, 1);
    g_autoptr(GSource) source = g_idle_source_new();

    g_atomic_ref_count_inc(&client->refs);
    *refusal = (Refusal){ client, reply, data, error };
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, on_refusal, refusal, refusal_free);
    g_source_attach(source, client->context);
}

void
cfs_client_send(CfsClient *client, const char *op, JsonObject *arguments, CfsReplyFunc reply,
                gpointer data)
{
    GError *error = NULL;

    if (client->link != LINK_UP) {
        if (arguments != NULL) {
            json_object_unref(arguments);
        }
        error = g_error_new_literal(Q_ERROR, Q_ERROR_UNREACHABLE,
                                    "quorate-cfsd is not connected: nothing was sent");
    } else if (g_hash_table_size(client->pending) >= IN_FLIGHT_MAX) {
        if (arguments != NULL) {
            json_object_unref(arguments);
        }
        error =
            g_error_new(Q_ERROR, Q_ERROR_BUSY, "%d requests are under way already", IN_FLIGHT_MAX);
    } else {
        send_request(client, op, arguments, reply, data, CFS_TIMEOUT_MS, &error);
    }
    if (error != NULL) {
        refuse_later(client, reply, data, error);
        return;
    }
    client_wake(client);
    if (client->timer == NULL) {
        start_timer(client, EXPIRY_MS);
    }
}

void
cfs_client_watch(CfsClient *client, const char *const *prefixes, const char *const *what,
                 CfsWatchFunc notify, gpointer data)
{
    static const char *const none[] = { NULL };
    Watch *watch = g_new0(Watch, 1);

    watch->prefixes = g_strdupv((char **)(prefixes != NULL ? prefixes : none));
    watch->what = g_strdupv((char **)(what != NULL ? what : none));
    watch->notify = notify;
    watch->data = data;
    g_ptr_array_add(client->watches, watch);
    if (client->link == LINK_UP) {
        send_watch(client, watch);
        client_wake(client);
    }
}

CfsClient *
cfs_client_new_async_path(const char *path, const char *program, CfsClientFunc connected,
                          CfsClientFunc lost, gpointer data)
{
    CfsClient *client = client_new(path, program);

    client->async = true;
    client->connected = connected;
    client->lost = lost;
    client->data = data;
    start_timer(client, RETRY_MS);
    /* The first try comes with the first turn of the main loop. */
    g_source_set_ready_time(client->timer, 0);
    return client;
}

CfsClient *
cfs_client_new_async(const char *program, CfsClientFunc connected, CfsClientFunc lost,
                     gpointer data)
{
    return cfs_client_new_async_path(Q_CFS_SOCKET, program, connected, lost, data);
}

#include <glib/gstdio.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cfs/client_priv.h"
#include "cfs/daemon.h"
#include "sys/clock.h"

/*
 * The control socket from both ends: a real daemon of one node in the main loop (without mount and
 * Corosync), and the client in a thread of its own, as another process would be.
 */

typedef struct {
    char *folder;
    char *socket;
    CfsDaemon *daemon;
    GMainLoop *loop;
    GThread *thread;
    void (*body)(const char *socket);
} World;

static CfsDaemon *
start_daemon(World *world)
{
    g_autoptr(GError) error = NULL;
    CfsDaemonSetup setup = { .host = { .folder = world->folder }, .socket = world->socket };
    CfsDaemon *daemon = cfs_daemon_new(&setup, &error);

    g_assert_no_error(error);
    return daemon;
}

static gboolean
on_quit(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

static gpointer
body_thread(gpointer data)
{
    World *world = data;

    world->body(world->socket);
    g_idle_add(on_quit, world->loop);
    return NULL;
}

static void
remove_tree(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            remove_tree(path);
        }
        unlink(path);
    }
    rmdir(folder);
}

static void
run(gconstpointer body)
{
    World world = { .body = (void (*)(const char *))body };

    world.folder = g_dir_make_tmp("quorate-socket-XXXXXX", NULL);
    world.socket = g_build_filename(world.folder, "run", "cfs.sock", NULL);
    g_chmod(world.folder, 0755);
    world.daemon = start_daemon(&world);
    world.loop = g_main_loop_new(NULL, FALSE);
    world.thread = g_thread_new("client", body_thread, &world);
    g_main_loop_run(world.loop);
    g_thread_join(world.thread);
    cfs_daemon_free(world.daemon);
    g_main_loop_unref(world.loop);
    remove_tree(world.folder);
    g_free(world.folder);
    g_free(world.socket);
}

static CfsClient *
connect_to(const char *socket)
{
    g_autoptr(GError) error = NULL;
    CfsClient *client = cfs_client_connect_path(socket, "test", &error);

    g_assert_no_error(error);
    return client;
}

/* ------------------------------------------------------------------ files */

static void
test_files(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    uint64_t version = 0;
    size_t length = 0;

    g_assert_cmpstr(cfs_client_node(client), !=, "");
    g_assert_cmpstr(cfs_client_cluster(client), ==, "");
    g_assert_true(cfs_quorate(client, NULL));

    CfsTxn *txn = cfs_txn_new();
    cfs_txn_mkdir(txn, "ha");
    cfs_txn_write(txn, "ha/resources.cfg", "vm: 100\n");
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_no_error(error);

    g_autofree char *text = cfs_read(client, "ha/resources.cfg", &version, &length, &error);
    g_assert_cmpstr(text, ==, "vm: 100\n");
    g_assert_cmpuint(length, ==, 8);
    g_assert_cmpuint(version, >, 0);
    g_assert_false(cfs_write(client, "ha/resources.cfg", "x", version + 1, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_CONFLICT);
    g_assert_nonnull(strstr(error->message, "ha/resources.cfg"));
    g_clear_error(&error);
    g_assert_true(cfs_write(client, "ha/resources.cfg", "x", version, &error));
    g_assert_false(cfs_write(client, "ha/resources.cfg", "y", CFS_ABSENT, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_CONFLICT);
    g_clear_error(&error);

    g_autofree char *none = cfs_read(client, "ha/none", NULL, NULL, &error);
    g_assert_null(none);
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    g_clear_error(&error);

    g_autoptr(GPtrArray) entries = cfs_list(client, "ha", &error);
    g_assert_cmpuint(entries->len, ==, 1);
    const CfsEntry *entry = entries->pdata[0];
    g_assert_cmpstr(entry->name, ==, "resources.cfg");
    g_assert_false(entry->is_dir);
    g_assert_cmpuint(entry->size_bytes, ==, 1);

    g_autofree char *members = cfs_read(client, ".members", NULL, NULL, &error);
    g_assert_nonnull(strstr(members, cfs_client_node(client)));
}

/* All or nothing: the failing change is named, the others did not happen. */
static void
test_all_or_nothing(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    CfsTxn *txn = cfs_txn_new();

    cfs_txn_write(txn, "one", "1");
    cfs_txn_remove(txn, "two");
    g_assert_false(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "two"));
    g_clear_error(&error);
    g_autofree char *one = cfs_read(client, "one", NULL, NULL, &error);
    g_assert_null(one);
}

static void
test_long_content(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    g_autofree char *big = g_malloc(TREE_FILE_MAX);
    size_t length = 0;

    for (size_t i = 0; i < TREE_FILE_MAX; i++) {
        big[i] = i * 7919 >> 3; /* no UTF-8 */
    }
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_write_bytes(txn, "big", big, TREE_FILE_MAX);
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_no_error(error);
    txn = cfs_txn_new();
    cfs_txn_write_bytes(txn, "half", big, TREE_FILE_MAX / 2);
    cfs_txn_write_bytes(txn, "third", big, TREE_FILE_MAX / 3);
    cfs_txn_write(txn, "small", "s");
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_no_error(error);
    g_autofree char *back = cfs_read(client, "big", NULL, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(back, length, big, TREE_FILE_MAX);
    g_autofree char *half = cfs_read(client, "half", NULL, &length, &error);
    g_assert_cmpmem(half, length, big, TREE_FILE_MAX / 2);
    g_autofree char *third = cfs_read(client, "third", NULL, &length, &error);
    g_assert_cmpmem(third, length, big, TREE_FILE_MAX / 3);

    g_autofree char *bigger = g_malloc0(TREE_FILE_MAX + 1);
    txn = cfs_txn_new();
    cfs_txn_write_bytes(txn, "bigger", bigger, TREE_FILE_MAX + 1);
    g_assert_false(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_FULL);
}

static void
test_long_list(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;

    for (int part = 0; part < 4; part++) {
        CfsTxn *txn = cfs_txn_new();
        for (int i = 0; i < 500; i++) {
            g_autofree char *path = g_strdup_printf("a-file-with-a-longer-name-%d-%d", part, i);
            cfs_txn_create(txn, path, "x");
        }
        g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
        g_assert_no_error(error);
    }
    g_autoptr(GPtrArray) entries = cfs_list(client, "", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(entries->len, ==, 2000);
}

/* ------------------------------------------------------------------ records, leases, status */

static void
test_records(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    CfsTxn *txn = cfs_txn_new();

    cfs_txn_if_run(txn, 100, NULL);
    cfs_txn_run(txn, 100, "node1", "boot", "start-1", (CfsGeneration){ 0, 0 });
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_no_error(error);
    txn = cfs_txn_new();
    cfs_txn_if_run(txn, 100, NULL);
    cfs_txn_run(txn, 100, "node2", "boot", "start-2", (CfsGeneration){ 0, 0 });
    g_assert_false(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_CONFLICT);
    g_clear_error(&error);

    g_autoptr(GPtrArray) runs = cfs_runs(client, 100, &error);
    g_assert_cmpuint(runs->len, ==, 1);
    const CfsRun *run = runs->pdata[0];
    g_assert_cmpstr(run->start_id, ==, "start-1");
    g_assert_false(run->dead);
    txn = cfs_txn_new();
    cfs_txn_if_run(txn, 100, "start-1");
    cfs_txn_run_clear(txn, 100);
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_autoptr(GPtrArray) none = cfs_runs(client, 0, &error);
    g_assert_cmpuint(none->len, ==, 0);
}

static void
test_leases(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    CfsGeneration first, second;

    g_assert_true(cfs_lease_take(client, "ha_manager_lock", &first, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(first.epoch, >, 0);

    JsonObject *arguments = json_object_new();
    int64_t sent_ms = q_clock_boot_ms();
    json_object_set_string_member(arguments, "name", "ha_manager_lock");
    json_object_set_int_member(arguments, "sent_ms", sent_ms);
    cfs_generation_to_json(arguments, "generation", first);
    g_autoptr(JsonObject) heard =
        cfs_client_call(client, "lease.renew", arguments, CFS_TIMEOUT_MS, &error);
    g_assert_no_error(error);
    g_assert_cmpint(q_json_int(heard, "heard_ms", 0), ==, sent_ms);

    g_autoptr(CfsLease) lease = cfs_lease_get(client, "ha_manager_lock", &error);
    g_assert_cmpstr(lease->state, ==, "held");
    g_assert_cmpint(cfs_generation_compare(lease->generation, first), ==, 0);
    g_assert_cmpint(lease->heard_ms, ==, sent_ms);
    g_assert_true(cfs_lease_release(client, "ha_manager_lock", first, &error));
    g_assert_true(cfs_lease_take(client, "ha_manager_lock", &second, NULL, &error));
    g_assert_cmpint(cfs_generation_compare(second, first), >, 0);

    /* Who acts under the old generation changes nothing. */
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_if_lease(txn, "ha_manager_lock", first);
    cfs_txn_write(txn, "late", "x");
    g_assert_false(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_CONFLICT);
}

static void
test_status(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;

    g_assert_true(cfs_status_set(client, "nodeip", "10.0.0.1", &error));
    g_autofree char *value = cfs_status_get(client, NULL, "nodeip", &error);
    g_assert_cmpstr(value, ==, "10.0.0.1");
    g_autofree char *version = cfs_read(client, ".version", NULL, NULL, &error);
    g_assert_nonnull(strstr(version, "nodeip"));
    g_assert_true(cfs_status_set(client, "nodeip", "", &error));
    g_autofree char *none = cfs_status_get(client, NULL, "nodeip", &error);
    g_assert_null(none);
    g_clear_error(&error);

    JsonObject *entry = json_object_new();
    json_object_set_string_member(entry, "message", "a \"message\"\n");
    g_autoptr(JsonObject) ok = cfs_client_call(client, "log", entry, CFS_TIMEOUT_MS, &error);
    g_assert_no_error(error);
    g_autoptr(JsonObject) log = cfs_client_call(client, "log.get", NULL, CFS_TIMEOUT_MS, &error);
    JsonArray *rows = q_json_array(log, "data");
    g_assert_cmpuint(json_array_get_length(rows), ==, 1);
    JsonObject *row = json_array_get_object_element(rows, 0);
    g_assert_cmpstr(q_json_string(row, "msg", ""), ==, "a \"message\"#010");
    g_assert_cmpstr(q_json_string(row, "tag", ""), ==, "test");
}

static JsonObject *
token(const char *id, const char *secret)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "token", id);
    json_object_set_string_member(arguments, "secret", secret);
    return arguments;
}

static void
test_tokens(const char *socket)
{
    static const char *const bad[][2] = {
        { "", "" },
        { "root@pam!a", "wrong" },
        { "root@pam!a", "" },
        { "root@pam!b", "s" },
        { "root@pam!a", "secre" },
        { "root@pam!a secret", "" },
        { "x", "y\nroot@pam!a secret" },
    };
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    CfsTxn *txn = cfs_txn_new();

    cfs_txn_mkdir(txn, "priv");
    cfs_txn_write(txn, "priv/token.cfg", "x@pam!b other\nroot@pam!a secret\n");
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    g_autoptr(JsonObject) ok = cfs_client_call(client, "token.check", token("root@pam!a", "secret"),
                                               CFS_TIMEOUT_MS, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("'%s' '%s'", bad[i][0], bad[i][1]);
        g_autoptr(JsonObject) no = cfs_client_call(
            client, "token.check", token(bad[i][0], bad[i][1]), CFS_TIMEOUT_MS, &error);
        g_assert_null(no);
        g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
        g_clear_error(&error);
    }
}

/* ------------------------------------------------------------------ corosync.conf */

static void
test_guarded(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;

    g_assert_false(cfs_write(client, "corosync.conf", "totem {", CFS_ANY, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_true(cfs_write(client, "corosync.conf.new", "nonsense }", CFS_ANY, &error));
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_rename(txn, "corosync.conf.new", "corosync.conf");
    g_assert_false(cfs_txn_commit(client, txn, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    g_clear_error(&error);
    g_autofree char *none = cfs_read(client, "corosync.conf", NULL, NULL, &error);
    g_assert_null(none);
}

/* ------------------------------------------------------------------ watches */

typedef struct {
    GMainContext *context;
    CfsClient *client;
    bool connected;
    guint messages;
    guint paths;
    guint lost;
    bool reread;
    bool again;
    bool replied;
    int error; /* -1: none */
    char *last_path;
} Events;

static void
on_connected(CfsClient *client, gpointer data)
{
    ((Events *)data)->connected = true;
}

static void
on_lost(CfsClient *client, gpointer data)
{
    ((Events *)data)->lost++;
}

static void
on_event(CfsClient *client, JsonObject *message, gpointer data)
{
    Events *events = data;

    if (message == NULL) {
        events->again = true;
        return;
    }
    events->messages++;
    events->reread |= q_json_bool(message, "reread", false);
    JsonArray *paths = q_json_array(message, "paths");
    for (guint i = 0; paths != NULL && i < json_array_get_length(paths); i++) {
        JsonArray *pair = json_array_get_array_element(paths, i);
        g_free(events->last_path);
        events->last_path = g_strdup(json_array_get_string_element(pair, 0));
        events->paths++;
    }
}

static void
on_reply(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    Events *events = data;

    g_assert_true((ok == NULL) != (error == NULL));
    events->replied = true;
    events->error = error != NULL ? error->code : -1;
}

static void
wait_for(Events *events, const bool *flag)
{
    int64_t end_ms = q_clock_boot_ms() + 10000;

    while (!*flag && q_clock_boot_ms() < end_ms) {
        if (!g_main_context_iteration(events->context, FALSE)) {
            g_usleep(1000);
        }
    }
    g_assert_true(*flag);
}

static void
settle(Events *events, int ms)
{
    int64_t end_ms = q_clock_boot_ms() + ms;

    while (q_clock_boot_ms() < end_ms) {
        g_main_context_iteration(events->context, FALSE);
        g_usleep(1000);
    }
}

static void
events_begin(Events *events, const char *socket)
{
    static const char *const prefixes[] = { "ha/", NULL };

    events->context = g_main_context_new();
    g_main_context_push_thread_default(events->context);
    events->client = cfs_client_new_async_path(socket, "test-async", on_connected, on_lost, events);
    cfs_client_watch(events->client, prefixes, NULL, on_event, events);
    wait_for(events, &events->connected);
}

static void
events_end(Events *events)
{
    cfs_client_free(events->client);
    g_main_context_pop_thread_default(events->context);
    g_main_context_unref(events->context);
    g_free(events->last_path);
}

static void
test_watch(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    Events events = { 0 };
    CfsTxn *txn = cfs_txn_new();

    events_begin(&events, socket);
    cfs_txn_mkdir(txn, "ha");
    cfs_txn_mkdir(txn, "other");
    cfs_txn_write(txn, "other/x", "x");
    cfs_txn_write(txn, "ha/resources.cfg", "x");
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    settle(&events, 100);
    g_assert_cmpuint(events.messages, ==, 1);
    g_assert_cmpuint(events.paths, ==, 1);
    g_assert_cmpstr(events.last_path, ==, "ha/resources.cfg");

    JsonObject *arguments = json_object_new();
    json_object_set_string_member(arguments, "path", "ha/resources.cfg");
    cfs_client_send(events.client, "get", arguments, on_reply, &events);
    g_assert_false(events.replied);
    wait_for(&events, &events.replied);
    g_assert_cmpint(events.error, ==, -1);
    events_end(&events);
}

/* A watcher that does not read is told to read anew, and holds up nobody. */
static void
test_slow_watcher(const char *socket)
{
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    Events events = { 0 };

    events_begin(&events, socket);
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_mkdir(txn, "ha");
    g_assert_true(cfs_txn_commit(client, txn, NULL, &error));
    for (int i = 0; i < 3000; i++) {
        g_autofree char *name = g_strnfill(200, 'a' + i % 26);
        g_autofree char *path = g_strdup_printf("ha/%s-%d", name, i);
        g_assert_true(cfs_write(client, path, "x", CFS_ANY, &error));
        g_assert_no_error(error);
    }
    settle(&events, 500);
    g_assert_true(events.reread || events.paths == 3000);
    g_test_message("%u messages, %u paths, reread %d", events.messages, events.paths,
                   events.reread);
    events_end(&events);
}

/* Whoever ends its client gets all its answers first. */
static void
test_end_with_requests(const char *socket)
{
    Events events = { 0 };

    events_begin(&events, socket);
    cfs_client_send(events.client, "quorum", NULL, on_reply, &events);
    cfs_client_free(g_steal_pointer(&events.client));
    g_assert_true(events.replied);
    g_assert_cmpint(events.error, ==, Q_ERROR_UNKNOWN);
    events_end(&events);
}

/* ------------------------------------------------------------------ bad peers */

static int
raw_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static void
test_bad_messages(const char *socket)
{
    static const char *const bad[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"op\":\"get\"}",
        "{\"op\":\"hello\"}",
        "{\"op\":\"hello\",\"program\":\"x\",\"version\":99}",
        "{\"op\":\"hello\",\"program\":{}}",
    };
    char answer[4096];

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("'%s'", bad[i]);
        int fd = raw_socket(socket);
        send(fd, bad[i], strlen(bad[i]), MSG_NOSIGNAL);
        ssize_t length;
        bool said_why = false;
        while ((length = recv(fd, answer, sizeof answer - 1, 0)) > 0) {
            answer[length] = '\0';
            said_why |= strstr(answer, "error") != NULL;
        }
        g_assert_true(said_why || i < 3); /* what is no object is no message at all */
        close(fd);
    }
    g_autoptr(CfsClient) client = connect_to(socket);
    g_assert_true(cfs_quorate(client, NULL));
}

static void
test_bad_requests(const char *socket)
{
    /* operation, arguments, code */
    static const char *const bad[][3] = {
        { "nonsense", "{}", "UNSUPPORTED" },
        { "get", "{}", "INVALID" },
        { "get", "{\"path\":\"/etc/passwd\"}", "INVALID" },
        { "get", "{\"path\":\"\"}", "INVALID" },
        { "list", "{\"path\":\"none\"}", "NOT_FOUND" },
        { "update", "{\"do\":[{\"write\":\"/abs\",\"text\":\"\"}]}", "INVALID" },
        { "update", "{\"do\":[{\"write\":\"a/../b\",\"text\":\"\"}]}", "NOT_FOUND" },
        { "update", "{\"do\":[{\"write\":\"x\",\"base64\":\"%%\"}]}", "INVALID" },
        { "update", "{\"do\":[{\"write\":\"x\",\"fd\":true}]}", "INVALID" },
        { "update", "{\"do\":[{\"nonsense\":1}]}", "INVALID" },
        { "update", "{\"do\":[7]}", "INVALID" },
        { "update", "{\"do\":[{\"run\":0}]}", "INVALID" },
        { "update", "{\"do\":[{\"rename\":[\"a\"]}]}", "INVALID" },
        { "update", "{\"do\":[{\"rename\":[\"a\",{}]}]}", "INVALID" },
        { "update", "{\"if\":[{\"x\":1}],\"do\":[]}", "INVALID" },
        { "lease.take", "{}", "INVALID" },
        { "lease.take", "{\"name\":\"storage-x\",\"hold_ms\":9,\"lapse_ms\":9}", "INVALID" },
        { "lease.renew", "{\"name\":\"storage-x\",\"generation\":[1,1]}", "INVALID" },
        { "status.set", "{\"text\":\"x\"}", "INVALID" },
        { "status.get", "{\"key\":\"none\"}", "NOT_FOUND" },
        { "log", "{}", "INVALID" },
    };
    g_autoptr(CfsClient) client = connect_to(socket);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s %s", bad[i][0], bad[i][1]);
        g_autoptr(GError) error = NULL;
        JsonObject *arguments = q_json_parse_object(bad[i][1], -1, &error);
        g_assert_no_error(error);
        g_autoptr(JsonObject) ok =
            cfs_client_call(client, bad[i][0], arguments, CFS_TIMEOUT_MS, &error);
        g_assert_null(ok);
        g_assert_error(error, Q_ERROR, (gint)q_error_code_parse(bad[i][2]));
    }
}

/* Many requests at once, of a peer that reads late and of one that is gone. */
static void
test_many_in_flight(const char *socket)
{
    static const char hello[] = "{\"op\":\"hello\",\"program\":\"raw\",\"version\":1}";
    char answer[4096];

    for (int stay = 0; stay < 2; stay++) {
        int fd = raw_socket(socket);
        send(fd, hello, strlen(hello), 0);
        for (int i = 1; i <= 200; i++) {
            g_autofree char *text = g_strdup_printf(
                "{\"id\":%d,\"op\":\"update\",\"do\":[{\"write\":\"f%d\",\"text\":\"x\"}]}", i,
                i % 10);
            g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), >, 0);
        }
        for (int i = 0; stay && i <= 200; i++) {
            ssize_t length = recv(fd, answer, sizeof answer - 1, 0);
            g_assert_cmpint(length, >, 0);
            answer[length] = '\0';
            g_assert_nonnull(strstr(answer, "\"ok\""));
        }
        close(fd);
    }
    g_autoptr(CfsClient) client = connect_to(socket);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = cfs_read(client, "f1", NULL, NULL, &error);
    g_assert_cmpstr(text, ==, "x");
}

/* As group www-data: reads outside priv/, no changes. In a child: it cannot become root again. */
static void
as_web_server(const char *socket)
{
    const struct group *group = getgrnam("www-data");

    if (group == NULL || setgroups(0, NULL) != 0 || setgid(group->gr_gid) != 0
        || setuid(65534) != 0) {
        _exit(10);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsClient) client = cfs_client_connect_path(socket, "web", &error);
    if (client == NULL) {
        _exit(11);
    }
    g_autofree char *open_text = cfs_read(client, "open", NULL, NULL, NULL);
    if (g_strcmp0(open_text, "open") != 0) {
        _exit(12);
    }
    g_autofree char *secret = cfs_read(client, "priv/secret", NULL, NULL, &error);
    if (secret != NULL || !g_error_matches(error, Q_ERROR, Q_ERROR_DENIED)) {
        _exit(13);
    }
    g_clear_error(&error);
    if (cfs_write(client, "open", "changed", CFS_ANY, &error)
        || !g_error_matches(error, Q_ERROR, Q_ERROR_DENIED)) {
        _exit(14);
    }
    g_clear_error(&error);
    CfsGeneration generation;
    if (cfs_lease_take(client, "ha_manager_lock", &generation, NULL, &error)
        || !g_error_matches(error, Q_ERROR, Q_ERROR_DENIED)) {
        _exit(15);
    }
    _exit(0);
}

static void
test_rights(const char *socket)
{
    int status = -1;

    if (getuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    CfsClient *client = connect_to(socket);
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_write(txn, "open", "open");
    cfs_txn_mkdir(txn, "priv");
    cfs_txn_write(txn, "priv/secret", "s");
    g_assert_true(cfs_txn_commit(client, txn, NULL, NULL));
    cfs_client_free(client);

    pid_t child = fork();
    if (child == 0) {
        as_web_server(socket);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);

    child = fork();
    if (child == 0) {
        /* Anybody else: not even a greeting. */
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) {
            _exit(10);
        }
        g_autoptr(CfsClient) none = cfs_client_connect_path(socket, "nobody", NULL);
        _exit(none == NULL ? 0 : 11);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
}

/* ------------------------------------------------------------------ restart */

/* The daemon ends and begins again under the client. */
static gboolean
do_restart(gpointer data)
{
    World *world = data;

    cfs_daemon_free(world->daemon);
    world->daemon = start_daemon(world);
    return G_SOURCE_REMOVE;
}

static World *restart_world; /* of the one test that needs it */

static void
restart_body(const char *socket)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsClient) client = connect_to(socket);
    Events events = { 0 };

    g_assert_true(cfs_write(client, "kept", "k", CFS_ANY, &error));
    events_begin(&events, socket);
    g_idle_add(do_restart, restart_world);
    wait_for(&events, &events.again); /* watches are made again, and it is said */
    g_assert_cmpuint(events.lost, ==, 1);
    /* The waiting client finds its way too, and what was acknowledged is there. */
    g_autofree char *text = cfs_read(client, "kept", NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, "k");
    events_end(&events);
}

static void
test_restart(void)
{
    World world = { .body = restart_body };

    restart_world = &world;
    world.folder = g_dir_make_tmp("quorate-socket-XXXXXX", NULL);
    world.socket = g_build_filename(world.folder, "run", "cfs.sock", NULL);
    world.daemon = start_daemon(&world);
    world.loop = g_main_loop_new(NULL, FALSE);
    world.thread = g_thread_new("client", body_thread, &world);
    g_main_loop_run(world.loop);
    g_thread_join(world.thread);
    cfs_daemon_free(world.daemon);
    g_main_loop_unref(world.loop);
    remove_tree(world.folder);
    g_free(world.folder);
    g_free(world.socket);
}

static void
add(const char *name, void (*body)(const char *socket))
{
    g_autofree char *path = g_strconcat("/cfs/socket/", name, NULL);

    g_test_add_data_func(path, body, run);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("files", test_files);
    add("all-or-nothing", test_all_or_nothing);
    add("long-content", test_long_content);
    add("long-list", test_long_list);
    add("records", test_records);
    add("leases", test_leases);
    add("status", test_status);
    add("tokens", test_tokens);
    add("guarded", test_guarded);
    add("watch", test_watch);
    add("slow-watcher", test_slow_watcher);
    add("end-with-requests", test_end_with_requests);
    add("bad-messages", test_bad_messages);
    add("bad-requests", test_bad_requests);
    add("many-in-flight", test_many_in_flight);
    add("rights", test_rights);
    g_test_add_func("/cfs/socket/restart", test_restart);
    return g_test_run();
}

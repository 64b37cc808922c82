#include <string.h>
#include <unistd.h>
#include "cfs/client_priv.h"
#include "cfs/server.h"
#include "ha/keeper.h"
#include "ha/mirror.h"
#include "sys/clock.h"

/* A control socket that answers about leases as each case says. */
typedef struct {
    char *folder, *path;
    CfsServer *server;
    CfsClient *client;
    HaKeeper *keeper;
    HaTiming timing;
    bool connected;
    QError take_error; /* Q_ERROR_CODES: granted */
    bool renewals_wait;
    CfsRequest *waiting;
    QError renew_error; /* Q_ERROR_CODES: heard */
    QError release_error;
    int takes, renewals, releases;
    int64_t left_ms;
} Bench;

static void
refuse_or_ok(CfsRequest *request, QError code, JsonObject *ok)
{
    if (code == Q_ERROR_CODES) {
        cfs_request_ok(request, ok);
        return;
    }
    json_object_unref(ok);
    cfs_request_refuse(request, g_error_new(Q_ERROR, code, "as the test says"));
}

static void
op_take(CfsRequest *request, gpointer data)
{
    Bench *bench = data;
    JsonObject *ok = json_object_new();

    ha_generation_to_json(ok, "generation", (HaGeneration){ 5, ++bench->takes });
    g_assert_cmpint(q_json_int(cfs_request_arguments(request), "lapse_ms", 0), ==,
                    bench->timing.lapse_ms);
    refuse_or_ok(request, bench->take_error, ok);
}

static void
op_renew(CfsRequest *request, gpointer data)
{
    Bench *bench = data;

    bench->renewals++;
    if (bench->renewals_wait) {
        bench->waiting = request;
        return;
    }
    refuse_or_ok(request, bench->renew_error, json_object_new());
}

static void
op_release(CfsRequest *request, gpointer data)
{
    Bench *bench = data;

    bench->releases++;
    refuse_or_ok(request, bench->release_error, json_object_new());
    bench->release_error = Q_ERROR_CODES;
}

static void
op_get(CfsRequest *request, gpointer data)
{
    Bench *bench = data;
    JsonObject *ok = json_object_new();

    json_object_set_string_member(ok, "state", bench->left_ms > 0 ? "held" : "lapsed");
    json_object_set_string_member(ok, "node", "n2");
    json_object_set_int_member(ok, "left_ms", bench->left_ms);
    cfs_request_ok(request, ok);
}

static JsonObject *
hello(gpointer data)
{
    return json_object_new();
}

static void
peer_gone(CfsPeer *peer, gpointer data)
{
}

static const CfsOp ops[] = {
    { "lease.take", CFS_OP_ROOT, op_take },
    { "lease.renew", CFS_OP_ROOT, op_renew },
    { "lease.release", CFS_OP_ROOT, op_release },
    { "lease.get", CFS_OP_ROOT, op_get },
    { 0 },
};

static void
on_connected(CfsClient *client, gpointer data)
{
    ((Bench *)data)->connected = true;
}

static void
on_news(gpointer data)
{
}

static void
turn(int ms)
{
    int64_t until = q_clock_boot_ms() + ms;

    do {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        g_usleep(1000);
    } while (q_clock_boot_ms() < until);
}

static void
bench_start(Bench *bench, gconstpointer data)
{
    CfsServerSetup setup = { .ops = ops, .hello = hello, .peer_gone = peer_gone, .host = bench };

    bench->folder = g_dir_make_tmp("keeper-XXXXXX", NULL);
    bench->path = g_build_filename(bench->folder, "socket", NULL);
    bench->server = cfs_server_new(bench->path, (gid_t)-1, &setup, NULL);
    g_assert_nonnull(bench->server);
    g_assert_true(ha_timing("fast", NULL, &bench->timing, NULL));
    bench->timing.local_end_ms = 400; /* the test does not wait longer than it must */
    bench->take_error = bench->renew_error = bench->release_error = Q_ERROR_CODES;
    bench->client = cfs_client_new_async_path(bench->path, "test", on_connected, NULL, bench);
    bench->keeper = ha_keeper_new(bench->client, "ha_agent_n1_lock", NULL, on_news, bench);
    for (int i = 0; i < 200 && !bench->connected; i++) {
        turn(5);
    }
    g_assert_true(bench->connected);
}

static void
bench_stop(Bench *bench, gconstpointer data)
{
    cfs_client_free(bench->client);
    turn(5);
    ha_keeper_free(bench->keeper);
    cfs_server_free(bench->server);
    rmdir(bench->folder);
    g_free(bench->folder);
    g_free(bench->path);
}

static HaOutcome
hold(Bench *bench, HaLease *lease)
{
    *lease = (HaLease){ .renew = true, .left_ms = -1 };
    return ha_keeper_hold(bench->keeper, &bench->timing, lease);
}

static void
test_held_once_heard(Bench *bench, gconstpointer data)
{
    HaLease lease;

    bench->renewals_wait = true;
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(20);
    g_assert_cmpint(bench->takes, ==, 1);
    HaTime before = ha_now();
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING); /* granted, and nothing heard yet */
    turn(20);
    g_assert_cmpint(bench->renewals, ==, 1);
    HaTime after = ha_now();
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    cfs_request_ok(bench->waiting, json_object_new());
    turn(20);
    g_assert_cmpint(hold(bench, &lease), ==, HA_DONE);
    g_assert_true(lease.fresh);
    g_assert_cmpuint(lease.generation.sequence, ==, 1);
    /* s is when it was sent, not when it was answered. */
    g_assert_cmpint(lease.heard.boot_ms, >=, before.boot_ms);
    g_assert_cmpint(lease.heard.boot_ms, <=, after.boot_ms);
}

static void
test_over_at_k(Bench *bench, gconstpointer data)
{
    HaLease lease;

    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(20);
    hold(bench, &lease);
    turn(20);
    g_assert_cmpint(hold(bench, &lease), ==, HA_DONE);
    bench->renewals_wait = true;
    turn(110);
    hold(bench, &lease); /* sent in time, and heard too late */
    turn(400);
    cfs_request_ok(bench->waiting, json_object_new());
    turn(20);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
    g_assert_cmpint(bench->takes, ==, 1);

    /* Given back, it can be taken anew. */
    g_assert_cmpint(ha_keeper_release(bench->keeper, (HaGeneration){ 5, 1 }), ==, HA_PENDING);
    turn(20);
    g_assert_cmpint(ha_keeper_release(bench->keeper, (HaGeneration){ 5, 1 }), ==, HA_DONE);
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(20);
    g_assert_cmpint(bench->takes, ==, 2);
}

static void
test_superseded(Bench *bench, gconstpointer data)
{
    HaLease lease;

    hold(bench, &lease);
    turn(20);
    bench->renew_error = Q_ERROR_CONFLICT;
    hold(bench, &lease);
    turn(20);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
}

static void
test_busy_says_how_long(Bench *bench, gconstpointer data)
{
    HaLease lease;

    bench->left_ms = 60;
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(20);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
    g_assert_cmpint(lease.left_ms, ==, 60);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
    g_assert_cmpint(bench->takes, ==, 0); /* no vote while it lives as far as this node knows */
    bench->left_ms = 0;
    bench->take_error = Q_ERROR_BUSY; /* others have heard of it later than we */
    turn(100);
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(10);
    g_assert_cmpint(bench->takes, ==, 1);
    g_assert_cmpint(hold(bench, &lease), ==, HA_REFUSED);
    bench->take_error = Q_ERROR_CODES;
    turn(120);
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING);
    turn(20);
    g_assert_cmpint(bench->takes, ==, 2);
}

static void
test_release_is_asked_until_known(Bench *bench, gconstpointer data)
{
    HaLease lease;

    hold(bench, &lease);
    turn(20);
    bench->release_error = Q_ERROR_NO_QUORUM;
    g_assert_cmpint(ha_keeper_release(bench->keeper, (HaGeneration){ 5, 1 }), ==, HA_PENDING);
    turn(50);
    g_assert_cmpint(hold(bench, &lease), ==, HA_PENDING); /* not renewed, not taken */
    g_assert_cmpint(bench->renewals, ==, 0);
    turn(600);
    g_assert_cmpint(bench->releases, ==, 2);
    g_assert_cmpint(ha_keeper_release(bench->keeper, (HaGeneration){ 5, 1 }), ==, HA_DONE);
}

static void
test_adopted(Bench *bench, gconstpointer data)
{
    HaLease lease;
    HaTime heard = ha_now();

    ha_keeper_adopt(bench->keeper, (HaGeneration){ 4, 9 }, heard);
    g_assert_cmpint(hold(bench, &lease), ==, HA_DONE);
    g_assert_cmpuint(lease.generation.sequence, ==, 9);
    g_assert_cmpint(lease.heard.boot_ms, ==, heard.boot_ms);
    turn(20);
    g_assert_cmpint(bench->takes, ==, 0);
    hold(bench, &lease);
    g_assert_cmpint(lease.heard.boot_ms, >=, heard.boot_ms);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/ha/keeper/" name, Bench, NULL, bench_start, func, bench_stop)
    ADD("held-once-heard", test_held_once_heard);
    ADD("over-at-k", test_over_at_k);
    ADD("superseded", test_superseded);
    ADD("busy", test_busy_says_how_long);
    ADD("release", test_release_is_asked_until_known);
    ADD("adopted", test_adopted);
    return g_test_run();
}

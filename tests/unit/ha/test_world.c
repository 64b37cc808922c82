#include <string.h>
#include <unistd.h>
#include "cfs/client_priv.h"
#include "cfs/server.h"
#include "ha/commit.h"
#include "ha/mirror.h"
#include "ha/world.h"
#include "sys/clock.h"

/* A control socket over a table of files: what the mirror reads and the world is made of. */
typedef struct {
    const char *path, *text;
    int version;
} File;

static const File files[] = {
    { "corosync.conf",
      "totem {\n  version: 2\n  cluster_name: t\n}\nnodelist {\n"
      "  node {\n    name: n1\n    nodeid: 1\n    quorum_votes: 1\n    ring0_addr: 10.0.0.1\n  }\n"
      "  node {\n    name: n2\n    nodeid: 2\n    quorum_votes: 3\n    ring0_addr: 10.0.0.2\n  "
      "}\n}\n",
      3 },
    { "datacenter.cfg", "ha: shutdown_policy=freeze,profile=steady\n", 4 },
    { "ha/resources.cfg", "vm: 100\n\tstate stopped\n\tmax_restart 2\n\nvm: 101\n\tfailback 0\n\n",
      5 },
    { "ha/manager_status", "{\"master_node\":\"n1\",\"service_status\":{}}", 6 },
    { "ha/crm_commands", "migrate vm:100 n2\n\nstop vm:101 5\n", 7 },
    { "nodes/n1/lrm_status", "{\"state\":\"active\",\"mode\":\"active\",\"results\":{}}", 8 },
    { "nodes/n1/qemu-server/100.conf", "cores: 2\nlock: backup\nmemory: 1024\n\n[snap]\nlock: x\n",
      9 },
    { "nodes/n2/qemu-server/102.conf", "memory: 512\n", 10 },
    { "nodes/n2/qemu-server/README", "no guest\n", 11 },
};

typedef struct {
    char *folder, *path;
    CfsServer *server;
    CfsClient *client;
    HaMirror *mirror;
    int news;
} Bench;

static void
op_get(CfsRequest *request, gpointer data)
{
    const char *path = q_json_string(cfs_request_arguments(request), "path", "");

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (strcmp(files[i].path, path) == 0) {
            JsonObject *ok = json_object_new();
            json_object_set_string_member(ok, "text", files[i].text);
            json_object_set_int_member(ok, "version", files[i].version);
            cfs_request_ok(request, ok);
            return;
        }
    }
    cfs_request_refuse(request, g_error_new(Q_ERROR, Q_ERROR_NOT_FOUND, "no '%s'", path));
}

static void
op_list(CfsRequest *request, gpointer data)
{
    g_autofree char *prefix =
        g_strdup_printf("%s/", q_json_string(cfs_request_arguments(request), "path", ""));
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonObject *ok = json_object_new();
    JsonArray *entries = json_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (!g_str_has_prefix(files[i].path, prefix)) {
            continue;
        }
        const char *rest = files[i].path + strlen(prefix);
        char *name = g_strndup(rest, strcspn(rest, "/"));
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, "name", name);
        json_object_set_int_member(row, "version", files[i].version);
        if (g_hash_table_add(seen, name)) {
            json_array_add_object_element(entries, row);
        } else {
            json_object_unref(row);
        }
    }
    json_object_set_array_member(ok, "entries", entries);
    cfs_request_ok(request, ok);
}

static void
answer_json(CfsRequest *request, const char *text)
{
    cfs_request_ok(request, q_json_parse_object(text, -1, NULL));
}

static void
op_records(CfsRequest *request, gpointer data)
{
    answer_json(request,
                "{\"records\":[{\"vmid\":100,\"node\":\"n1\",\"boot\":\"b-1\",\"start\":\"s7\","
                "\"guard\":[4,2],\"dead\":false,\"mig\":null}]}");
}

static void
op_lease(CfsRequest *request, gpointer data)
{
    bool manager =
        strcmp(q_json_string(cfs_request_arguments(request), "name", ""), "ha_manager_lock") == 0;

    answer_json(request,
                manager ? "{\"state\":\"held\",\"node\":\"n1\",\"boot\":\"b\",\"generation\":[4,1]}"
                        : "{\"state\":\"fenced\",\"node\":\"n2\",\"generation\":[4,9]}");
}

static void
op_members(CfsRequest *request, gpointer data)
{
    answer_json(request, "{\"nodename\":\"n1\",\"nodelist\":{\"n1\":{\"id\":1,\"online\":1},"
                         "\"n2\":{\"id\":2,\"online\":0}}}");
}

static void
op_quorum(CfsRequest *request, gpointer data)
{
    answer_json(request, "{\"quorate\":true,\"epoch\":4}");
}

static void
op_watch(CfsRequest *request, gpointer data)
{
    answer_json(request, "{\"sequence\":1}");
}

static const CfsOp ops[] = {
    { "get", CFS_OP_ROOT, op_get },         { "list", CFS_OP_ROOT, op_list },
    { "records", CFS_OP_ROOT, op_records }, { "lease.get", CFS_OP_ROOT, op_lease },
    { "members", CFS_OP_ROOT, op_members }, { "quorum", CFS_OP_ROOT, op_quorum },
    { "watch", CFS_OP_ROOT, op_watch },     { 0 },
};

static JsonObject *
hello(gpointer data)
{
    return json_object_new();
}

static void
peer_gone(CfsPeer *peer, gpointer data)
{
}

static void
on_news(gpointer data)
{
    ((Bench *)data)->news++;
}

static void
on_connected(CfsClient *client, gpointer data)
{
    ha_mirror_connected(((Bench *)data)->mirror);
}

static void
bench_start(Bench *bench, gconstpointer data)
{
    CfsServerSetup setup = { .ops = ops, .hello = hello, .peer_gone = peer_gone, .host = bench };

    bench->folder = g_dir_make_tmp("world-XXXXXX", NULL);
    bench->path = g_build_filename(bench->folder, "socket", NULL);
    bench->server = cfs_server_new(bench->path, (gid_t)-1, &setup, NULL);
    bench->client = cfs_client_new_async_path(bench->path, "test", on_connected, NULL, bench);
    bench->mirror = ha_mirror_new(bench->client, on_news, bench);
    for (int i = 0; i < 2000 && !ha_mirror_settled(bench->mirror); i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(500);
    }
    g_assert_true(ha_mirror_settled(bench->mirror));
    g_assert_cmpint(bench->news, >=, 1);
}

static void
bench_stop(Bench *bench, gconstpointer data)
{
    cfs_client_free(bench->client);
    ha_mirror_free(bench->mirror);
    cfs_server_free(bench->server);
    rmdir(bench->folder);
    g_free(bench->folder);
    g_free(bench->path);
}

static void
test_world(Bench *bench, gconstpointer data)
{
    g_autoptr(HaWorld) world = ha_world_build(bench->mirror, "n1", "b-1", NULL);

    g_assert_null(world->error);
    g_assert_true(world->quorate);
    g_assert_cmpstr(world->datacenter->profile, ==, "steady");
    g_assert_cmpuint(g_hash_table_size(world->nodes), ==, 2);
    g_assert_true(ha_world_online(world, "n1"));
    g_assert_false(ha_world_online(world, "n2"));
    g_assert_cmpint(ha_world_node(world, "n2")->weight, ==, 3);
    g_assert_cmpstr(world->status->master_node, ==, "n1");
    g_assert_cmpuint(world->commands->len, ==, 2);

    const HaConfig *config = ha_world_config(world, "vm:100");
    g_assert_cmpint(config->state, ==, HA_REQUEST_STOPPED);
    g_assert_cmpint(config->max_restart, ==, 2);
    g_assert_cmpstr(config->node, ==, "n1");
    g_assert_cmpstr(config->lock, ==, "backup");
    g_assert_cmpuint(config->version, ==, 9);
    g_assert_cmpstr(config->run->start_id, ==, "s7");
    g_assert_cmpuint(config->run->guard.sequence, ==, 2);
    g_assert_false(config->run->stated_dead);
    g_assert_false(config->run->migrating);

    config = ha_world_config(world, "vm:101"); /* configured, and no such guest */
    g_assert_null(config->node);
    g_assert_false(config->failback);
    config = ha_world_config(world, "vm:102"); /* a guest, and not configured */
    g_assert_true(config->unmanaged);
    g_assert_cmpuint(g_hash_table_size(world->configs), ==, 3);

    g_assert_cmpint(ha_world_agent_lease(world, "n2")->state, ==, HA_LEASE_FENCED);
    const HaLeaseView *manager = g_hash_table_lookup(world->leases, "ha_manager_lock");
    g_assert_cmpint(manager->state, ==, HA_LEASE_HELD);
}

static char *
update_text(Bench *bench, const HaCommit *commit, GError **error)
{
    CfsTxn *txn = ha_commit_txn(commit, bench->mirror, "n1", error);

    if (txn == NULL) {
        return NULL;
    }
    g_autoptr(JsonObject) arguments = cfs_txn_arguments(txn);
    return q_json_object_text(arguments, Q_JSON_COMPACT);
}

/* S44: all conditions of a recovery stand in the one update. */
static void
test_recovery(Bench *bench, gconstpointer data)
{
    g_autoptr(HaCommit) commit = ha_commit_new("ha_manager_lock", (HaGeneration){ 4, 1 });
    HaChange *change = ha_commit_add(commit, HA_CHANGE_RECOVER, "vm:100");

    change->from = g_strdup("n1");
    change->to = g_strdup("n2");
    change->node = g_strdup("n1");
    change->version = 9;
    change->fenced = true;
    change->generation = (HaGeneration){ 4, 9 };
    ha_commit_add(commit, HA_CHANGE_CLEAR_LOCK, "vm:100")->text = g_strdup("backup");
    change = ha_commit_add(commit, HA_CHANGE_STATUS, NULL);
    change->text = g_strdup("{}");
    change->version = 6;

    g_autoptr(GError) error = NULL;
    g_autofree char *text = update_text(bench, commit, &error);
    g_assert_no_error(error);
    g_test_message("%s", text);
    static const char *const parts[] = {
        "{\"generation\":[4,1],\"lease\":\"ha_manager_lock\"}",
        "{\"path\":\"nodes/n1/qemu-server/100.conf\",\"version\":9}",
        "{\"fenced\":\"n1\",\"generation\":[4,9]}",
        "{\"dead\":100}",
        "{\"path\":\"ha/manager_status\",\"version\":6}",
        "\"rename\":[\"nodes/n1/qemu-server/100.conf\",\"nodes/n2/qemu-server/100.conf\"]",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_test_message("%s", parts[i]);
        g_assert_nonnull(strstr(text, parts[i]));
    }
    g_assert_null(strstr(text, "lock: backup"));
    g_assert_nonnull(strstr(text, "lock: x")); /* a snapshot's stays */
}

static void
test_stale_is_refused(Bench *bench, gconstpointer data)
{
    g_autoptr(HaCommit) commit = ha_commit_new("ha_manager_lock", (HaGeneration){ 4, 1 });
    HaChange *change = ha_commit_add(commit, HA_CHANGE_SET_REQUEST, "vm:100");
    g_autoptr(GError) error = NULL;

    change->text = g_strdup("started");
    change->version = 4; /* it is at 5 */
    g_assert_null(update_text(bench, commit, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_CONFLICT);
}

static void
test_several_in_one_file(Bench *bench, gconstpointer data)
{
    g_autoptr(HaCommit) commit = ha_commit_new("ha_manager_lock", (HaGeneration){ 4, 1 });
    static const char *const sids[] = { "vm:100", "vm:101" };
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        HaChange *change = ha_commit_add(commit, HA_CHANGE_SET_REQUEST, sids[i]);
        change->text = g_strdup("disabled");
        change->version = 5;
    }
    HaChange *change = ha_commit_add(commit, HA_CHANGE_COMMANDS, NULL);
    change->version = 7;
    change->count = 1;
    g_autofree char *text = update_text(bench, commit, &error);
    g_assert_no_error(error);
    g_test_message("%s", text);
    g_assert_nonnull(strstr(text, "vm: 100\\n\\tstate disabled\\n\\tmax_restart 2"));
    g_assert_nonnull(strstr(text, "vm: 101\\n\\tfailback 0\\n\\tstate disabled"));
    g_assert_nonnull(strstr(text, "\"text\":\"stop vm:101 5\\n\""));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/ha/world/" name, Bench, NULL, bench_start, func, bench_stop)
    ADD("snapshot", test_world);
    ADD("recovery", test_recovery);
    ADD("stale", test_stale_is_refused);
    ADD("several", test_several_in_one_file);
    return g_test_run();
}

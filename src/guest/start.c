#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "guest/core/pending.h"
#include "guest/disks.h"
#include "guest/gate.h"
#include "guest/host.h"
#include "guest/launch.h"
#include "guest/lifecycle_priv.h"
#include "guest/ports.h"
#include "guest/qmp.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/process.h"

/*
 * Start (S40, S41): enter the gate, commit the run record, only then QEMU, stopped, then `cont`.
 * The order is the point: whoever is too late finds the gate closed, the lease gone or the record
 * taken, before a process exists.
 */

#define START_S 30
#define UNKNOWN_WAIT_MS 10000
#define UNKNOWN_POLL_MS 250

typedef struct {
    const GuestCall *call;
    GuestFile *file;
    GuestConfig *config; /* of the file, with pending changes applied */
    GPtrArray *freed;    /* volumes that the pending changes give up */
    GuestHost host;
    GHashTable *volumes;
    GHashTable *mtus;
    GuestCommand *command;
    char *start_id;
    char *outside; /* the cgroup that we came from; NULL: no gates here */
    bool committed;
} Start;

static void
start_clear(Start *start)
{
    guest_file_free(start->file);
    g_clear_pointer(&start->freed, g_ptr_array_unref);
    g_clear_pointer(&start->volumes, g_hash_table_unref);
    g_clear_pointer(&start->mtus, g_hash_table_unref);
    guest_command_free(start->command);
    g_free(start->start_id);
    g_free(start->outside);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Start, start_clear)

static bool
is_guarded(const GuestCall *call)
{
    return call->generation.epoch != 0 || call->generation.sequence != 0;
}

/* ------------------------------------------------------------------ before the commit */

static bool
enter_gate(Start *start, GError **error)
{
    const GuestCall *call = start->call;
    g_autoptr(GError) no_gate = NULL;

    start->outside = gate_here(&no_gate);
    if (start->outside != NULL) {
        return gate_enter(call->generation, call->vmid, error);
    }
    if (is_guarded(call)) {
        g_propagate_error(error, g_steal_pointer(&no_gate));
        return false;
    }
    guest_say(call,
              "WARN: no cgroup2 here (%s): the guest runs without a gate, and cannot be under HA",
              no_gate->message);
    return true;
}

/* A QEMU that has powered off, but that nobody told to quit, is not running for its user. */
static bool
check_not_running(const GuestCall *call, GError **error)
{
    GuestProcess process;

    if (!guest_process(call->vmid, &process)) {
        return true;
    }
    g_autofree char *status = guest_qmp_status(call->vmid, NULL);
    if (g_strcmp0(status, "shutdown") != 0) {
        return q_set_error(error, Q_ERROR_EXISTS, "VM %u already running", call->vmid);
    }
    guest_say(call, "the guest has powered off, ending what is left of it");
    guest_process_signal(&process, SIGKILL);
    return guest_process_wait(&process, GUEST_PROOF_MS)
           || q_set_error(error, Q_ERROR_TIMEOUT, "process %d of VM %u does not end", process.pid,
                          call->vmid);
}

static bool
check_config(const Start *start, GError **error)
{
    const GuestSection *section = guest_config_main(start->file->config);
    GPtrArray *warnings = guest_config_warnings(start->file->config);

    if (guest_get_bool(section, "template", false)) {
        return q_set_error(error, Q_ERROR_INVALID, "you can't start a vm if it's a template");
    }
    for (guint i = 0; i < warnings->len; i++) {
        guest_say(start->call, "WARN: %s: %s", start->file->path, (char *)warnings->pdata[i]);
    }
    return guest_file_check_lock(start->file, start->call->skiplock, error);
}

/* A record of this node and boot whose QEMU is gone (it crashed, or powered off) is ours to clear.
 */
static bool
settle_record(const Start *start, GuestRecord *record, GError **error)
{
    const GuestCall *call = start->call;

    if (!guest_record_read(call->cfs, call->vmid, record, error)) {
        return false;
    }
    if (record->migrating) {
        return q_set_error(error, Q_ERROR_BUSY, "VM %u is being migrated", call->vmid);
    }
    if (record->kind == GUEST_RECORD_OTHERS) {
        return q_set_error(
            error, Q_ERROR_CONFLICT,
            "VM %u may still run on node '%s': wait until it has ended there, fence that node, or, "
            "if you know that it is off: qm recover %u --node-is-off %s",
            call->vmid, record->node, call->vmid, record->node);
    }
    if (record->kind != GUEST_RECORD_OURS) {
        return true;
    }
    g_autoptr(GArray) pids = gate_pids(call->vmid);
    for (guint i = 0; i < pids->len; i++) {
        if (g_array_index(pids, pid_t, i) != getpid()) {
            return q_set_error(error, Q_ERROR_BUSY,
                               "VM %u: process %d of an earlier start still lives", call->vmid,
                               g_array_index(pids, pid_t, i));
        }
    }
    if (!guest_record_remove(call->cfs, call->vmid, record->start_id, error)) {
        return false;
    }
    guest_record_clear(record);
    record->kind = GUEST_RECORD_NONE;
    return true;
}

static bool
build_command(Start *start, GError **error)
{
    const GuestCall *call = start->call;
    const GuestSection *section = guest_config_main(start->config);
    g_autoptr(StorageSet) set = storage_set_read(call->cfs, error);

    if (set == NULL || !guest_host_look(cfs_client_node(call->cfs), &start->host, error)) {
        return false;
    }
    start->volumes = guest_disks_open(set, section, error);
    start->mtus = start->volumes != NULL ? guest_host_bridge_mtu(section, error) : NULL;
    if (start->mtus == NULL) {
        return false;
    }
    start->host.guarded = is_guarded(call);
    start->host.volumes = start->volumes;
    start->host.bridge_mtu = start->mtus;
    start->command = guest_qemu_command(call->vmid, section, &start->host, error);
    for (guint i = 0; start->command != NULL && i < start->command->notes->len; i++) {
        guest_say(call, "%s", (char *)start->command->notes->pdata[i]);
    }
    return start->command != NULL;
}

/* ------------------------------------------------------------------ the commit */

/* After an unknown outcome only seeing our record is an answer; its absence proves nothing, the
 * update may still be under way (S14). */
static bool
was_committed_after_all(const Start *start)
{
    int64_t deadline_ms = q_clock_mono_ms() + UNKNOWN_WAIT_MS;

    while (q_clock_mono_ms() < deadline_ms) {
        g_auto(GuestRecord) record = { 0 };

        if (guest_record_read(start->call->cfs, start->call->vmid, &record, NULL)
            && g_strcmp0(record.start_id, start->start_id) == 0) {
            return true;
        }
        g_usleep(UNKNOWN_POLL_MS * 1000);
    }
    return false;
}

static bool
commit_record(Start *start, const GuestRecord *record, GError **error)
{
    const GuestCall *call = start->call;
    const char *node = cfs_client_node(call->cfs);
    g_autofree char *text = guest_config_text(start->config);
    g_autofree char *lease = g_strdup_printf("ha_agent_%s_lock", node);
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    g_autoptr(GError) failed = NULL;

    cfs_txn_if_version(txn, start->file->path, start->file->version);
    cfs_txn_if_mig(txn, call->vmid, NULL);
    cfs_txn_if_run(txn, call->vmid, record->kind == GUEST_RECORD_NONE ? NULL : record->start_id);
    if (record->kind != GUEST_RECORD_NONE) {
        cfs_txn_if_dead(txn, call->vmid);
    }
    if (is_guarded(call)) {
        cfs_txn_if_lease(txn, lease, call->generation);
    }
    if (strcmp(text, start->file->text) != 0) {
        cfs_txn_write(txn, start->file->path, text);
    }
    cfs_txn_run(txn, call->vmid, node, cfs_client_boot(call->cfs), start->start_id,
                call->generation);
    if (cfs_txn_commit(call->cfs, g_steal_pointer(&txn), NULL, &failed)
        || (g_error_matches(failed, Q_ERROR, Q_ERROR_UNKNOWN) && was_committed_after_all(start))) {
        start->committed = true;
        return true;
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&failed),
                               "VM %u was not started: ", call->vmid);
    return false;
}

/* ------------------------------------------------------------------ after the commit */

/* Seconds that QEMU may take: more for much memory (it may be zeroed first) and many cards. */
static int
start_timeout_s(const Start *start)
{
    const GuestSection *section = guest_config_main(start->config);
    int64_t gib = guest_config_memory_mib(section) / 1024;

    return start->call->timeout_s > 0 ? start->call->timeout_s
                                      : MAX(START_S, gib) + 5 * (int)start->command->ports->len;
}

static bool
run_qemu(const Start *start, GError **error)
{
    g_autofree char *variable = g_strdup_printf(GUEST_START_ENV "=%s", start->start_id);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *said = NULL;

    for (guint i = 0; i < start->command->argv->len; i++) {
        g_ptr_array_add(argv, start->command->argv->pdata[i]);
    }
    g_ptr_array_add(argv, NULL);
    guest_remove_run_files(start->call->vmid);
    if (!guest_launch(start->call->vmid, (const char *const *)argv->pdata, variable,
                      start_timeout_s(start) * 1000, &said, error)) {
        return false;
    }
    if (*said != '\0') {
        guest_say(start->call, "%s", said);
    }
    return true;
}

static bool
set_links(Qmp *qmp, const GuestCommand *command, GError **error)
{
    for (guint i = 0; i < command->links_down->len; i++) {
        JsonObject *arguments = json_object_new();

        json_object_set_string_member(arguments, "name", command->links_down->pdata[i]);
        json_object_set_boolean_member(arguments, "up", FALSE);
        if (!qmp_do(qmp, "set_link", arguments, QMP_COMMAND_MS, error)) {
            return false;
        }
    }
    return true;
}

static bool
set_balloon(Qmp *qmp, const Start *start, GError **error)
{
    const GuestSection *section = guest_config_main(start->config);
    int64_t target = guest_get_int(section, "balloon", 0);

    if (target <= 0 || target >= guest_config_memory_mib(section)) {
        return true;
    }
    JsonObject *arguments = json_object_new();
    json_object_set_int_member(arguments, "value", target * 1024 * 1024);
    return qmp_do(qmp, "balloon", arguments, QMP_COMMAND_MS, error);
}

static bool
let_run(const Start *start, GError **error)
{
    bool frozen = guest_get_bool(guest_config_main(start->config), "freeze", false);
    g_autoptr(Qmp) qmp = qmp_connect(start->call->vmid, QMP_CONNECT_MS, error);

    return qmp != NULL && set_links(qmp, start->command, error) && set_balloon(qmp, start, error)
           && (frozen || qmp_do(qmp, "cont", NULL, QMP_COMMAND_MS, error));
}

/* Neither a process nor a record stays of a start that failed. */
static void
undo(Start *start)
{
    const GuestCall *call = start->call;
    g_autoptr(GError) error = NULL;
    GuestProcess process;

    if (guest_process(call->vmid, &process)) {
        guest_process_signal(&process, SIGKILL);
        guest_process_wait(&process, GUEST_PROOF_MS);
    }
    if (start->outside != NULL && !gate_leave(start->outside, &error)) {
        guest_say(call, "WARN: %s",
                  error->message); /* still inside: the record stays for reconciliation */
        return;
    }
    if (!guest_finish(call, &error)) {
        guest_say(call, "WARN: %s", error->message);
    }
}

static bool
run(Start *start, GError **error)
{
    if (!q_file_make_dir(Q_GUEST_RUN_DIR, 0755, error)
        || !guest_ports_make(start->command->ports, error) || !run_qemu(start, error)
        || !let_run(start, error)) {
        undo(start);
        return false;
    }
    return true;
}

static void
free_given_up(const Start *start)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(StorageSet) set =
        start->freed->len > 0 ? storage_set_read(start->call->cfs, &error) : NULL;

    if (set != NULL) {
        guest_disks_free(set, start->call->cfs, start->freed, start->call->say, start->call->data);
    }
}

static bool
start_inside(Start *start, GError **error)
{
    const GuestCall *call = start->call;
    g_auto(GuestRecord) record = { 0 };
    GuestChange change = { .vmid = call->vmid };

    start->file = guest_file_read(call->cfs, NULL, call->vmid, error);
    if (start->file == NULL || !check_config(start, error) || !check_not_running(call, error)
        || !settle_record(start, &record, error)) {
        return false;
    }
    start->freed = g_ptr_array_new_with_free_func(g_free);
    change.freed = start->freed;
    start->config = start->file->config;
    guest_pending_apply(start->config, &change);
    start->start_id = g_uuid_string_random();
    if (!build_command(start, error) || !commit_record(start, &record, error)
        || !run(start, error)) {
        return false;
    }
    free_given_up(start);
    return true;
}

bool
guest_start(const GuestCall *call, GError **error)
{
    g_auto(Start) start = { .call = call };
    g_autoptr(QFileLock) lock =
        guest_lock_file(call->vmid, GUEST_LOCK_MS, call->say, call->data, error);

    if (lock == NULL || !enter_gate(&start, error)) {
        return false;
    }
    bool done = start_inside(&start, error);
    /* Nothing can be started from here any more: out, so that the gate holds the guest alone. */
    if (start.outside != NULL) {
        gate_leave(start.outside, NULL);
        gate_tidy(call->generation, call->vmid);
    }
    return done;
}

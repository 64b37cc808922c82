#include "guest/lifecycle.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "guest/core/pending.h"
#include "guest/disks.h"
#include "guest/lifecycle_priv.h"
#include "guest/ports.h"
#include "guest/qmp.h"
#include "sys/clock.h"

#define STOP_S 60
#define SHUTDOWN_S 60
#define QUIT_MS 5000
#define TERM_MS 10000
#define POLL_MS 200
#define AGENT_MS 3000
#define STATUS_MS 3000
#define KILL_MS 3000

void
guest_say(const GuestCall *call, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    if (call->say != NULL) {
        call->say(line, call->data);
    } else {
        printf("%s\n", line);
        fflush(stdout);
    }
}

/* ------------------------------------------------------------------ after the end */

static bool
clear_record(const GuestCall *call, GError **error)
{
    g_auto(GuestRecord) record = { 0 };

    if (!guest_record_read(call->cfs, call->vmid, &record, error)) {
        return false;
    }
    return record.kind != GUEST_RECORD_OURS
           || guest_record_remove(call->cfs, call->vmid, record.start_id, error);
}

bool
guest_finish(const GuestCall *call, GError **error)
{
    GuestProcess process;
    g_autoptr(GError) no_gate = NULL;

    if (!gate_kill_guest(call->vmid, GUEST_PROOF_MS, &no_gate)
        && !g_error_matches(no_gate, Q_ERROR, Q_ERROR_UNSUPPORTED)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&no_gate), "VM %u: ", call->vmid);
        return false;
    }
    /* Without gates on this machine, or started outside of one: by its pid. */
    if (guest_process(call->vmid, &process)) {
        guest_process_signal(&process, SIGKILL);
        if (!guest_process_wait(&process, GUEST_PROOF_MS)) {
            return q_set_error(error, Q_ERROR_TIMEOUT, "VM %u: process %d outlives SIGKILL",
                               call->vmid, process.pid);
        }
    }
    guest_ports_remove(call->vmid);
    guest_remove_run_files(call->vmid);
    if (call->cfs == NULL) {
        guest_say(call, "VM %u has ended; its run record is cleared when the cluster can be asked",
                  call->vmid);
        return true;
    }
    g_autoptr(GError) kept = NULL;
    if (!clear_record(call, &kept)) {
        /* The guest is dead all the same; the record only keeps others from starting it. */
        guest_say(call, "WARN: VM %u has ended, but its run record stays for now: %s", call->vmid,
                  kept->message);
    }
    return true;
}

/* What waited for the next cold start takes effect when the guest has been stopped by us. */
static void
apply_pending(const GuestCall *call)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GuestFile) file = guest_file_read(call->cfs, NULL, call->vmid, &error);
    g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);
    GuestChange change = { .vmid = call->vmid, .freed = freed };

    if (file == NULL || guest_get(guest_config_main(file->config), "lock") != NULL) {
        return; /* moved away meanwhile, or in another's hands */
    }
    guest_pending_apply(file->config, &change);
    if (!guest_file_write(call->cfs, file, &error)) {
        guest_say(call, "WARN: pending changes wait for the next start: %s", error->message);
        return;
    }
    g_autoptr(StorageSet) set = freed->len > 0 ? storage_set_read(call->cfs, &error) : NULL;
    if (set != NULL) {
        guest_disks_free(set, call->cfs, freed, call->say, call->data);
    }
}

/* ------------------------------------------------------------------ stop */

static bool
check_lock(const GuestCall *call, GError **error)
{
    g_autoptr(GuestFile) file = guest_file_read(call->cfs, NULL, call->vmid, error);

    return file != NULL && guest_file_check_lock(file, call->skiplock, error);
}

/* From polite to certain; returns when the process is gone or nothing more can be asked of it. */
static void
end_process(const GuestCall *call, const GuestProcess *process, int timeout_s)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Qmp) qmp = qmp_connect(call->vmid, QUIT_MS, &error);

    if (qmp != NULL && qmp_do(qmp, "quit", NULL, QUIT_MS, &error)
        && guest_process_wait(process, timeout_s * 1000)) {
        return;
    }
    if (guest_process_wait(process, 0)) {
        return; /* it had ended before it could answer */
    }
    guest_say(call, "VM quit failed (%s) - terminating now with SIGTERM",
              error != NULL ? error->message : "got timeout");
    guest_process_signal(process, SIGTERM);
    if (!guest_process_wait(process, TERM_MS)) {
        guest_say(call, "VM still running - terminating now with SIGKILL");
    }
}

bool
guest_stop(const GuestCall *call, GError **error)
{
    g_autoptr(QFileLock) lock =
        guest_lock_file(call->vmid, GUEST_LOCK_MS, call->say, call->data, error);
    GuestProcess process;
    bool running = guest_process(call->vmid, &process);

    if (lock == NULL || !check_lock(call, error)) {
        return false;
    }
    if (running) {
        end_process(call, &process, call->timeout_s > 0 ? call->timeout_s : STOP_S);
    }
    if (!guest_finish(call, error)) {
        return false;
    }
    if (running) {
        apply_pending(call);
    }
    return true;
}

bool
guest_kill(const GuestCall *call, GError **error)
{
    GuestProcess process;

    if (guest_process(call->vmid, &process)) {
        guest_process_signal(&process, SIGKILL);
        guest_process_wait(&process, KILL_MS);
    }
    return guest_finish(call, error);
}

/* ------------------------------------------------------------------ shutdown */

char *
guest_qmp_status(uint32_t vmid, GError **error)
{
    if (!guest_running(vmid)) {
        return g_strdup("stopped");
    }
    g_autoptr(Qmp) qmp = qmp_connect(vmid, STATUS_MS, error);
    g_autoptr(JsonNode) answer =
        qmp != NULL ? qmp_command(qmp, "query-status", NULL, STATUS_MS, error) : NULL;
    if (answer == NULL) {
        return NULL;
    }
    return JSON_NODE_HOLDS_OBJECT(answer)
               ? g_strdup(q_json_string(json_node_get_object(answer), "status", "unknown"))
               : g_strdup("unknown");
}

static bool
agent_is_enabled(const GuestFile *file)
{
    g_autoptr(QPropertyString) agent =
        guest_get_properties(guest_config_main(file->config), "agent", NULL);

    return agent != NULL && q_property_bool(agent, "enabled", false);
}

/* By the agent if one answers, else by the power button. */
static bool
ask_to_shut_down(const GuestCall *call, const GuestFile *file, GError **error)
{
    if (agent_is_enabled(file)) {
        JsonObject *arguments = json_object_new();
        g_autoptr(JsonNode) sent = NULL;

        json_object_set_string_member(arguments, "mode", "powerdown");
        sent = qmp_agent(call->vmid, "guest-shutdown", arguments, false, AGENT_MS, NULL);
        if (sent != NULL) {
            return true;
        }
        guest_say(call, "the guest agent does not answer: using the power button");
    }
    g_autoptr(Qmp) qmp = qmp_connect(call->vmid, QMP_CONNECT_MS, error);
    return qmp != NULL && qmp_do(qmp, "system_powerdown", NULL, QMP_COMMAND_MS, error);
}

static int
shutdown_timeout_s(const GuestCall *call, const GuestFile *file)
{
    g_autoptr(QPropertyString) startup =
        guest_get_properties(guest_config_main(file->config), "startup", NULL);

    if (call->timeout_s > 0) {
        return call->timeout_s;
    }
    return startup != NULL ? q_property_int(startup, "down", SHUTDOWN_S) : SHUTDOWN_S;
}

/* QEMU stays after the guest has powered off (-no-shutdown), until it is told to quit. */
static bool
wait_for_power_off(const GuestCall *call, const GuestProcess *process, int timeout_s)
{
    int64_t deadline_ms = q_clock_mono_ms() + (int64_t)timeout_s * 1000;

    do {
        if (guest_process_wait(process, POLL_MS)) {
            return true;
        }
        g_autofree char *status = guest_qmp_status(call->vmid, NULL);
        if (g_strcmp0(status, "shutdown") == 0) {
            return true;
        }
    } while (q_clock_mono_ms() < deadline_ms);
    return false;
}

bool
guest_shutdown(const GuestCall *call, bool force_stop, GError **error)
{
    g_autoptr(GuestFile) file = guest_file_read(call->cfs, NULL, call->vmid, error);
    GuestProcess process;
    g_autofree char *status = NULL;

    if (file == NULL || !guest_file_check_lock(file, call->skiplock, error)) {
        return false;
    }
    if (!guest_process(call->vmid, &process)) {
        return guest_stop(call, error);
    }
    status = guest_qmp_status(call->vmid, NULL);
    if (g_strcmp0(status, "paused") == 0 || g_strcmp0(status, "suspended") == 0) {
        return force_stop ? guest_stop(call, error)
                          : q_set_error(error, Q_ERROR_BUSY, "VM is paused - cannot shutdown");
    }
    /* The wait is without the lock, so that a stop can overtake it. */
    if (g_strcmp0(status, "shutdown") != 0) {
        g_autoptr(GError) failed = NULL;
        bool asked = ask_to_shut_down(call, file, &failed);

        if (!asked || !wait_for_power_off(call, &process, shutdown_timeout_s(call, file))) {
            if (!force_stop) {
                return q_set_error(error, Q_ERROR_TIMEOUT, "VM quit/powerdown failed - %s",
                                   asked ? "got timeout" : failed->message);
            }
            guest_say(call, "VM quit/powerdown failed - terminating now");
        }
    }
    GuestCall stop = *call;
    stop.timeout_s = 0;
    return guest_stop(&stop, error);
}

/* ------------------------------------------------------------------ reset, pause, resume */

bool
guest_check_recorded(CfsClient *cfs, uint32_t vmid, GError **error)
{
    g_auto(GuestRecord) record = { 0 };
    GuestProcess process;

    if (!guest_process(vmid, &process)) {
        return q_set_error(error, Q_ERROR_CONFLICT, "VM %u not running", vmid);
    }
    g_autofree char *start_id = guest_process_start_id(process.pid);
    if (!guest_record_read(cfs, vmid, &record, error)) {
        return false;
    }
    return (record.kind == GUEST_RECORD_OURS && !record.migrating
            && g_strcmp0(record.start_id, start_id) == 0)
           || q_set_error(
               error, Q_ERROR_CONFLICT,
               "VM %u: the QEMU that runs here is not the one on record: it may only be stopped",
               vmid);
}

static bool
tell_qemu(const GuestCall *call, const char *command, GError **error)
{
    if (!check_lock(call, error) || !guest_check_recorded(call->cfs, call->vmid, error)) {
        return false;
    }
    g_autoptr(Qmp) qmp = qmp_connect(call->vmid, QMP_CONNECT_MS, error);
    return qmp != NULL && qmp_do(qmp, command, NULL, QMP_COMMAND_MS, error);
}

bool
guest_reset(const GuestCall *call, GError **error)
{
    return tell_qemu(call, "system_reset", error);
}

bool
guest_pause(const GuestCall *call, GError **error)
{
    return tell_qemu(call, "stop", error);
}

bool
guest_resume(const GuestCall *call, GError **error)
{
    g_autofree char *status = guest_qmp_status(call->vmid, NULL);

    return g_strcmp0(status, "running") == 0 || tell_qemu(call, "cont", error);
}

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "guest/gate.h"
#include "guest/lifecycle_priv.h"
#include "sys/log.h"
#include "sys/paths.h"

/*
 * S43: what runs here and what the cluster has on record are brought together: a QEMU without its
 * own run record is killed, never adopted; a record without its QEMU is cleared.
 */

static void
add_vmid(GHashTable *vmids, uint32_t vmid)
{
    g_hash_table_add(vmids, GUINT_TO_POINTER(vmid));
}

/* Everybody who may live here: by gate, and by pid file for those without a gate. */
static GHashTable *
find_local(GError **error)
{
    GHashTable *vmids = g_hash_table_new(NULL, NULL);
    g_autoptr(GError) no_gates = NULL;
    g_autoptr(GPtrArray) gates = gate_list(&no_gates);
    DIR *dir = opendir(Q_GUEST_RUN_DIR);

    if (gates == NULL && !g_error_matches(no_gates, Q_ERROR, Q_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&no_gates));
        g_hash_table_unref(vmids);
        if (dir != NULL) {
            closedir(dir);
        }
        return NULL;
    }
    for (guint i = 0; gates != NULL && i < gates->len; i++) {
        const Gate *gate = gates->pdata[i];

        if (gate->populated) {
            add_vmid(vmids, gate->vmid);
        }
    }
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char *end;
        guint64 vmid = g_ascii_strtoull(entry->d_name, &end, 10);

        if (end != entry->d_name && strcmp(end, ".pid") == 0 && vmid <= G_MAXUINT32
            && guest_running(vmid)) {
            add_vmid(vmids, vmid);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return vmids;
}

static void
say_log(const char *line, gpointer data)
{
    q_info("%s", line);
}

/* Who holds the guest's file lock is at work on it: its process is not left over. */
static bool
end_unrecorded(CfsClient *cfs, uint32_t vmid, GError **error)
{
    g_autoptr(QFileLock) lock = guest_lock_file(vmid, 0, NULL, NULL, NULL);
    GuestCall call = { .cfs = cfs, .vmid = vmid, .say = say_log };
    g_auto(GuestRecord) record = { 0 };
    GuestProcess process;

    if (lock == NULL) {
        return false;
    }
    /* Read again under the lock: a start that was under way may have ended well meanwhile. */
    bool alive = guest_process(vmid, &process);
    g_autofree char *start_id = alive ? guest_process_start_id(process.pid) : NULL;
    if (!guest_record_read(cfs, vmid, &record, error)) {
        return false;
    }
    if (record.migrating
        || (record.kind == GUEST_RECORD_OURS && g_strcmp0(record.start_id, start_id) == 0)) {
        return false;
    }
    q_warn("VM %u runs here without its run record (%s): ending it", vmid,
           record.kind == GUEST_RECORD_NONE ? "there is none" : record.node);
    return guest_kill(&call, error);
}

static bool
clear_leftover(CfsClient *cfs, const CfsRun *run, GError **error)
{
    g_autoptr(QFileLock) lock = guest_lock_file(run->vmid, 0, NULL, NULL, NULL);

    /* Under the lock nobody starts it; empty gate and no process: it is dead, we know it. */
    if (lock == NULL || guest_running(run->vmid) || !gate_empty(run->vmid)) {
        return true;
    }
    q_info("VM %u is not running here any more: clearing its run record", run->vmid);
    return guest_record_remove(cfs, run->vmid, run->start_id, error);
}

static const CfsRun *
find_run(GPtrArray *runs, uint32_t vmid)
{
    for (guint i = 0; i < runs->len; i++) {
        if (((CfsRun *)runs->pdata[i])->vmid == vmid) {
            return runs->pdata[i];
        }
    }
    return NULL;
}

static bool
is_recorded(CfsClient *cfs, GPtrArray *runs, uint32_t vmid)
{
    const CfsRun *run = find_run(runs, vmid);
    GuestProcess process;

    if (run == NULL || !guest_process(vmid, &process)) {
        return run != NULL;
    }
    g_autofree char *start_id = guest_process_start_id(process.pid);
    return run->mig_id != NULL
           || (strcmp(run->node, cfs_client_node(cfs)) == 0
               && strcmp(run->boot, cfs_client_boot(cfs)) == 0
               && g_strcmp0(run->start_id, start_id) == 0);
}

bool
guest_reconcile(CfsClient *cfs, int *killed, GError **error)
{
    g_autofree char *why = NULL;
    g_autoptr(GHashTable) local = NULL;
    g_autoptr(GPtrArray) runs = NULL;
    GHashTableIter iter;
    gpointer key;
    int count = 0;

    if (!cfs_quorate(cfs, &why)) {
        return true; /* what is on record may be out of date */
    }
    /* Processes first: who starts after this look has its record committed before its process. */
    local = find_local(error);
    runs = local != NULL ? cfs_runs(cfs, 0, error) : NULL;
    if (runs == NULL) {
        return false;
    }
    g_hash_table_iter_init(&iter, local);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        uint32_t vmid = GPOINTER_TO_UINT(key);
        g_autoptr(GError) failed = NULL;

        if (!is_recorded(cfs, runs, vmid) && end_unrecorded(cfs, vmid, &failed)) {
            count++;
        } else if (failed != NULL) {
            q_warn("VM %u: %s", vmid, failed->message);
        }
    }
    for (guint i = 0; i < runs->len; i++) {
        const CfsRun *run = runs->pdata[i];
        g_autoptr(GError) failed = NULL;

        if (strcmp(run->node, cfs_client_node(cfs)) == 0 && run->mig_id == NULL
            && !g_hash_table_contains(local, GUINT_TO_POINTER(run->vmid))
            && !clear_leftover(cfs, run, &failed)) {
            q_warn("VM %u: %s", run->vmid, failed->message);
        }
    }
    if (killed != NULL) {
        *killed = count;
    }
    return true;
}

#include "guest/record.h"
#include <string.h>

void
guest_record_clear(GuestRecord *record)
{
    g_clear_pointer(&record->node, g_free);
    g_clear_pointer(&record->start_id, g_free);
}

bool
guest_record_read(CfsClient *cfs, uint32_t vmid, GuestRecord *record, GError **error)
{
    g_autoptr(GPtrArray) runs = cfs_runs(cfs, vmid, error);

    *record = (GuestRecord){ .kind = GUEST_RECORD_NONE };
    if (runs == NULL) {
        return false;
    }
    for (guint i = 0; i < runs->len; i++) {
        const CfsRun *run = runs->pdata[i];

        if (run->vmid != vmid) {
            continue;
        }
        bool ours = strcmp(run->node, cfs_client_node(cfs)) == 0
                    && strcmp(run->boot, cfs_client_boot(cfs)) == 0;
        record->kind = ours        ? GUEST_RECORD_OURS
                       : run->dead ? GUEST_RECORD_DEAD
                                   : GUEST_RECORD_OTHERS;
        record->node = g_strdup(run->node);
        record->start_id = g_strdup(run->start_id);
        record->guard = run->guard;
        record->migrating = run->mig_id != NULL;
    }
    return true;
}

bool
guest_record_remove(CfsClient *cfs, uint32_t vmid, const char *start_id, GError **error)
{
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    g_autoptr(GError) failed = NULL;

    cfs_txn_if_run(txn, vmid, start_id);
    cfs_txn_run_clear(txn, vmid);
    if (cfs_txn_commit(cfs, g_steal_pointer(&txn), NULL, &failed)) {
        return true;
    }
    g_auto(GuestRecord) now = { 0 };
    if (g_error_matches(failed, Q_ERROR, Q_ERROR_CONFLICT)
        && guest_record_read(cfs, vmid, &now, NULL) && g_strcmp0(now.start_id, start_id) != 0) {
        return true; /* somebody has cleared it before us, perhaps this very update sent twice */
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&failed), "run record of VM %u: ", vmid);
    return false;
}

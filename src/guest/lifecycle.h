#pragma once
#include <sys/types.h>
#include "cfs/client.h"

/*
 * A guest's life on this node: the same code for `qm`, the API and the LRM.
 *
 * guest_start() must run in a process that serves this one guest (a task): it enters the guest's
 * gate (guest/gate.h). All calls wait; none may run in a daemon's main loop. The guest's QEMU
 * becomes a child of init and outlives whoever started it.
 */
typedef struct GuestCall GuestCall;
struct GuestCall {
    CfsClient *cfs;
    uint32_t vmid;
    CfsGeneration generation; /* HA: this node's agent lease; {0,0}: not under HA */
    bool skiplock;            /* act in spite of `lock:` (root@pam only) */
    int timeout_s;            /* 0: the default of the call */
    void (*say)(const char *line,
                gpointer data); /* a line for the task log; NULL: standard output */
    gpointer data;
};

/**
 * guest_start:
 *
 * S40: enter the gate, commit the run record on condition of the configuration read, no other
 * record and (HA) the lease, only then QEMU with -S, then `cont`. A failed start leaves neither a
 * process nor a record.
 *
 * Errors: Q_ERROR_NOT_FOUND (no such guest here, or the generation is over), Q_ERROR_EXISTS
 *   ("VM N already running"), Q_ERROR_BUSY (locked), Q_ERROR_CONFLICT (a run record that is not
 *   proven dead, or the configuration or lease changed), Q_ERROR_UNKNOWN (the commit's outcome is
 *   not known: nothing was started, the record may stand until guest_reconcile()), Q_ERROR_INVALID,
 *   Q_ERROR_IO, Q_ERROR_TIMEOUT
 */
bool guest_start(const GuestCall *call, GError **error);

/** guest_stop: QMP quit, then SIGTERM, then SIGKILL of the gate; proves it dead, clears the record.
 *  A guest that does not run is fine. Default timeout 60 s before force. */
bool guest_stop(const GuestCall *call, GError **error);

/** guest_shutdown: by agent or ACPI button; after the timeout (`startup down=`, else 60 s) as
 *  guest_stop() if @force_stop, else Q_ERROR_TIMEOUT "VM quit/powerdown failed - got timeout". */
bool guest_shutdown(const GuestCall *call, bool force_stop, GError **error);

bool guest_reset(const GuestCall *call, GError **error);

/** guest_pause, guest_resume: stop the CPUs, let them run. Resume refuses while the run record is
 *  not this QEMU's (S49). */
bool guest_pause(const GuestCall *call, GError **error);
bool guest_resume(const GuestCall *call, GError **error);

/** guest_check_recorded: Errors: Q_ERROR_CONFLICT if the running QEMU is not the one on record,
 *  or there is none: "VM N not running" */
bool guest_check_recorded(CfsClient *cfs, uint32_t vmid, GError **error);

/** guest_kill: at once, without QMP or configuration: gate, proof (S30), then the record. Works
 * while cfsd is away, when only the record stays (cleared by guest_reconcile()); then true with a
 * line said. @cfs may be NULL. */
bool guest_kill(const GuestCall *call, GError **error);

typedef struct {
    pid_t pid;            /* 0: no process */
    uint64_t start_ticks; /* pid and ticks together name the process */
    int64_t uptime_s;
} GuestProcess;

/** guest_process: looks at VMID.pid and the process's command line, touches nothing else: quick,
 *  no QMP, no FUSE. Returns: true if QEMU of @vmid lives on this node. */
bool guest_process(uint32_t vmid, GuestProcess *process);

/** guest_running: as guest_process(), for those who only ask yes or no. */
bool guest_running(uint32_t vmid);

/** guest_qmp_status: (transfer full): "running", "paused", "shutdown", …; "stopped" without
 *  process; NULL with an error if QEMU does not answer within 3 s. */
char *guest_qmp_status(uint32_t vmid, GError **error);

/**
 * guest_reconcile:
 * @killed: (out) (optional): number of QEMU processes ended
 *
 * S43, at daemon start, in a new epoch and each minute, by lrmd (in a helper process or thread:
 * it waits): QEMU without a run record of this node and boot is killed, never adopted; own records
 * of an earlier boot, or with an empty gate and no process, are cleared. Reads only committed
 * state; does nothing without quorum.
 */
bool guest_reconcile(CfsClient *cfs, int *killed, GError **error);

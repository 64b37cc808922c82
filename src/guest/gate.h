#pragma once
#include <sys/types.h>
#include "cfs/client.h"

/*
 * The gate of safety rule S41: a cgroup (v2) named by the lease generation under which a guest may
 * run, g-GEN/VMID, or u/VMID for guests that are not under HA ("unguarded", generation {0,0}).
 * Whoever starts a guest enters first, then checks, then executes QEMU, which inherits the place.
 * Ending a generation removes its folder: what comes too late finds nothing to enter.
 *
 * Nothing here touches /etc/pve or cfsd or waits on a socket: all of it may run at the local end
 * (S29).
 */
#define GATE_UNGUARDED ((CfsGeneration){ 0, 0 })

/** gate_root: Returns: (transfer full): the folder quorate.slice below the cgroup2 mount, made if
 *  missing. Errors: Q_ERROR_UNSUPPORTED: this machine has no cgroup2 (then no HA, and guests run
 *  without a gate: gate_enter() says so) */
char *gate_root(GError **error);

/** gate_open: makes the folder of @generation, by its lease's holder only (lrmd). Fine if there. */
bool gate_open(CfsGeneration generation, GError **error);

/**
 * gate_enter:
 *
 * Moves the calling process into the gate of @vmid. The process must be one that serves this guest
 * alone and then ends or becomes QEMU: a task, never a daemon.
 *
 * Errors: Q_ERROR_NOT_FOUND: the generation is over (or never was on this node): start nothing
 */
bool gate_enter(CfsGeneration generation, uint32_t vmid, GError **error);

/** gate_here: (transfer full): the cgroup folder that the calling process is in, for gate_leave().
 */
char *gate_here(GError **error);

/** gate_leave: moves the calling process out, once it can no longer start anything for the guest.
 */
bool gate_leave(const char *folder, GError **error);

/** gate_tidy: removes @vmid's folder if nobody is in it. */
void gate_tidy(CfsGeneration generation, uint32_t vmid);

/** gate_adopt: moves every process of @vmid, in whichever gate it is (also u/), into @generation's
 *  (S33: first this, then the guard), or with {0,0} back to u/. Fine if there is none. */
bool gate_adopt(uint32_t vmid, CfsGeneration generation, GError **error);

typedef struct {
    CfsGeneration generation; /* {0,0}: unguarded */
    uint32_t vmid;
    bool populated; /* a process lives in it (a zombie does not) */
} Gate;

/** gate_list: Returns: (transfer full) (element-type Gate): every VMID folder of this node, sorted
 */
GPtrArray *gate_list(GError **error);

/** gate_generations: Returns: (transfer full) (element-type CfsGeneration): each g-GEN there, also
 * empty ones */
GPtrArray *gate_generations(GError **error);

/** gate_empty: no process of @vmid in any gate of this node. false also if it cannot be read. */
bool gate_empty(uint32_t vmid);

/** gate_pids: (transfer full) (element-type pid_t): the processes of @vmid in all gates */
GArray *gate_pids(uint32_t vmid);

/**
 * gate_kill_guest:
 *
 * SIGKILL to everything in the gates of @vmid, proves it dead (S30: no process, and its TCP sockets
 * destroyed and seen gone) and removes its folders.
 *
 * Returns: false with Q_ERROR_TIMEOUT if that is not proven after @wait_ms
 */
bool gate_kill_guest(uint32_t vmid, int wait_ms, GError **error);

/**
 * gate_close:
 *
 * Ends a whole generation, the local end of S29: kills all of g-GEN, proves it dead (S30) and
 * removes it. true also if it was not there: nothing can have entered.
 *
 * Returns: false with Q_ERROR_TIMEOUT if that is not proven after @wait_ms: leave the watchdog
 * armed
 */
bool gate_close(CfsGeneration generation, int wait_ms, GError **error);

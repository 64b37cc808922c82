#pragma once
#include "base/json.h"

/*
 * In which interval which guest's process existed where: values alone, from what the watcher saw.
 * Times in ms of the machine's monotonic clock.
 */
typedef struct {
    int vmid, node, pid;
    int64_t start_ms;        /* not later than the process became a QEMU */
    int64_t end_ms;          /* -1: still there */
    bool incoming;           /* started as the target of a migration */
    int64_t cont_ms, ran_ms; /* first and last look at which its vCPUs had run; -1: never */
    const char *end;         /* "exit", "power", "killed", or NULL; static text */
} LabInterval;

typedef struct LabHistory LabHistory;

LabHistory *lab_history_new(void);
void lab_history_free(LabHistory *history);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabHistory, lab_history_free)

/** lab_history_add: Returns: the interval's number, for the calls below */
guint lab_history_add(LabHistory *history, const LabInterval *interval);
LabInterval *lab_history_at(LabHistory *history, guint number); /* borrowed until the next add */
guint lab_history_length(const LabHistory *history);

/**
 * lab_history_look:
 * @ran: (element-type guint): numbers of the intervals whose vCPUs ran since the look before
 *
 * Two intervals of one guest, one of them incoming, that both ran in this look and in the one
 * before it, have run at once.
 */
void lab_history_look(LabHistory *history, int64_t now_ms, GArray *ran);

/** lab_history_json: (transfer full): @vmid 0: all; the format of `history --json` */
JsonArray *lab_history_json(const LabHistory *history, int vmid);

/** lab_history_overlaps: (transfer full): pairs [A, B] of intervals of one guest that had any
 * common time, or ran at once where one of them is incoming. @vmid 0: all */
JsonArray *lab_history_overlaps(const LabHistory *history, int vmid);

#pragma once
#include "cfs/client.h"

/* Run records (S39) from this node's point of view. */

typedef enum {
    GUEST_RECORD_NONE,
    GUEST_RECORD_OURS,   /* this node, this boot */
    GUEST_RECORD_DEAD,   /* proven dead (S34): may be replaced */
    GUEST_RECORD_OTHERS, /* somewhere a QEMU of it may run */
} GuestRecordKind;

typedef struct {
    GuestRecordKind kind;
    char *node;
    char *start_id;
    CfsGeneration guard;
    bool migrating;
} GuestRecord;
void guest_record_clear(GuestRecord *record);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GuestRecord, guest_record_clear)

bool guest_record_read(CfsClient *cfs, uint32_t vmid, GuestRecord *record, GError **error);

/** guest_record_remove: the node's own clearing, after proof of death; on condition that it is
 * still that start. A record that is gone is fine. */
bool guest_record_remove(CfsClient *cfs, uint32_t vmid, const char *start_id, GError **error);

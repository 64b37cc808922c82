#pragma once
#include "base/wire.h"
#include "cfs/core/record.h"
#include "cfs/core/tree.h"
#include "cfs/core/update.h"

/* The insides of an update, and its encoding. */

typedef enum {
    IF_VERSION,
    IF_LEASE,
    IF_FENCED,
    IF_RUN,
    IF_DEAD,
    IF_MIG,
} UpdateConditionKind;

typedef struct {
    UpdateConditionKind kind;
    bool absent; /* RUN, MIG: there must be no record */
    uint32_t vmid;
    uint64_t version;
    Generation generation;
    char *name; /* path, lease, node, start id, migration id */
} UpdateCondition;

typedef enum {
    /* the tree */
    CHANGE_CREATE, /* path[0], data, flag: exclusive */
    CHANGE_WRITE,  /* path[0], data */
    CHANGE_PATCH,  /* path[0], number: truncate to, ranges */
    CHANGE_REMOVE,
    CHANGE_MKDIR,
    CHANGE_RENAME, /* path[0] → path[1], flag: no replacing */
    CHANGE_MTIME,  /* number */
    CHANGE_UNLOCK, /* path[0], number: version */
    /* records */
    CHANGE_RUN, /* vmid, node, boot, start id, generation */
    CHANGE_RUN_CLEAR,
    CHANGE_GUARD,
    CHANGE_MIG, /* vmid, id, start id, target, boot, phase */
    CHANGE_MIG_CLEAR,
    CHANGE_OFF,        /* node, boot, generation, number: deadline, flag2: state */
    CHANGE_DEAD,       /* vmid, statement */
    CHANGE_LEASE_GIVE, /* node */
    CHANGE_LEASE_TAKE, /* name, process, generation: taken from, number: K, number2: L */
    CHANGE_LEASE_RELEASE,
    /* our own */
    CHANGE_CONFIG,      /* number: of the configuration it follows; data: the new one */
    CHANGE_CONFIG_DONE, /* number: of the configuration that is committed */
    CHANGE_EPOCH,       /* data: database ids that joined the epoch `number` (S6) */
    CHANGE_HELLO,       /* nothing: the envelope says the boot */
} UpdateChangeKind;
#define CHANGE_KINDS (CHANGE_HELLO + 1)
#define CHANGE_TREE_LAST CHANGE_UNLOCK
#define UPDATE_TEXTS 5
#define UPDATE_PARTS_MAX 1024 /* conditions, changes, ranges of a change */

typedef struct {
    UpdateChangeKind kind;
    uint8_t flag;
    uint32_t vmid;
    int64_t number, number2;
    Generation generation;
    char *text[UPDATE_TEXTS];
    GBytes *data;
    GArray *ranges; /* UpdateRange */
} UpdateChange;

struct Update {
    GArray *conditions; /* UpdateCondition */
    GArray *changes;    /* UpdateChange */
};

/** What travels: an update and its sender's circumstances. */
typedef struct {
    Update *update;
    uint64_t settled; /* all of the sender's updates up to this number are answered (S14) */
    int64_t time_s;   /* the sender's wall clock: mtime */
    char node[256];
    char boot[128];
} UpdateEnvelope;

UpdateChange *update_add_change(Update *update, UpdateChangeKind kind);
GBytes *update_encode(const Update *update);
Update *update_decode(QReader *reader); /* NULL: malformed */

void envelope_encode(GByteArray *bytes, const UpdateEnvelope *envelope, GBytes *update);
bool envelope_decode(GBytes *bytes, UpdateEnvelope *envelope); /* envelope->update: free it */

/* Largest encoded envelope: a file of the largest size and room for names and conditions. */
#define UPDATE_BYTES_MAX (TREE_FILE_MAX + 256 * 1024)

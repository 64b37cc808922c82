#pragma once
#include "base/wire.h"
#include "cfs/core/lease.h"

/*
 * Records: what is replicated beside the tree. Keys are text, values encoded structs:
 *   config            voters, weights, database ids (config.h)
 *   epochs            the last epochs: number, plan, sequence they began at
 *   sender/NODEID     last update accepted of a node, results not yet known to be answered (S14)
 *   boot/NODE         the boot under which a node sends updates: plain text
 *   lease/NAME  run/VMID  mig/VMID  off/NODE  dead/VMID
 */
typedef struct Records Records;

Records *records_new(void);
Records *records_copy(const Records *records);
void records_free(Records *records);
GBytes *records_get(const Records *records, const char *key);        /* borrowed, or NULL */
void records_set(Records *records, const char *key, GBytes *value);  /* NULL removes */
GPtrArray *records_keys(const Records *records, const char *prefix); /* borrowed, sorted */
Digest records_digest(const Records *records);

#define RECORD_TEXT_MAX 512

typedef struct {
    LeaseState state;
    Generation generation;
    uint32_t node_id;
    int64_t hold_ms, lapse_ms;
    char node[256], boot[128], process[128];
} LeaseRecord;

typedef struct {
    char node[256], boot[128], start_id[128];
    Generation guard;
} RunRecord;

typedef struct {
    char mig_id[128], start_id[128], target[256], target_boot[128], phase[64];
} MigRecord;

typedef struct {
    char boot[128];
    Generation manager;
    int64_t deadline_s;
    OffState state;
} OffRecord;

typedef struct {
    char start_id[128]; /* the run that the statement is about */
    char statement[512];
} DeadRecord;

#define SENDER_RESULTS_MAX 64
typedef struct {
    uint8_t code;
    uint16_t which;
    uint64_t sequence;
} SenderResult;
typedef struct {
    uint64_t incarnation;
    char boot[128];
    uint64_t last;    /* number of its last accepted update */
    size_t n_results; /* of the updates last - n_results + 1 … last */
    SenderResult results[SENDER_RESULTS_MAX];
} SenderRecord;

#define EPOCHS_MAX 64
typedef struct {
    Epoch epoch;
    uint64_t base; /* sequence at which it began */
} EpochBegin;
typedef struct {
    size_t n; /* oldest first */
    EpochBegin begins[EPOCHS_MAX];
} EpochsRecord;

/* Reading: false, and *out all zero, if there is no such record or it is malformed. */
bool record_lease(const Records *records, const char *name, LeaseRecord *out);
bool record_run(const Records *records, uint32_t vmid, RunRecord *out);
bool record_mig(const Records *records, uint32_t vmid, MigRecord *out);
bool record_off(const Records *records, const char *node, OffRecord *out);
bool record_dead(const Records *records, uint32_t vmid, DeadRecord *out);
bool record_sender(const Records *records, uint32_t node_id, SenderRecord *out);
bool record_epochs(const Records *records, EpochsRecord *out);

/* Writing: the encoded value (transfer full). */
GBytes *lease_record_encode(const LeaseRecord *record);
GBytes *run_record_encode(const RunRecord *record);
GBytes *mig_record_encode(const MigRecord *record);
GBytes *off_record_encode(const OffRecord *record);
GBytes *dead_record_encode(const DeadRecord *record);
GBytes *sender_record_encode(const SenderRecord *record);
GBytes *epochs_record_encode(const EpochsRecord *record);

void record_key(char *key, size_t size, const char *kind, const char *name);
void record_key_number(char *key, size_t size, const char *kind, uint32_t number);

void generation_put(GByteArray *bytes, Generation generation);
Generation generation_get(QReader *reader);
void epoch_put(GByteArray *bytes, Epoch epoch);
Epoch epoch_get(QReader *reader);
void digest_put(GByteArray *bytes, Digest digest);
Digest digest_get(QReader *reader);

/** record_run_dead: S34: the start that @run records can do nothing any more. */
bool record_run_dead(const Records *records, uint32_t vmid, const RunRecord *run);

#pragma once
#include "base/error.h"
#include "cfs/core/version.h"

/*
 * An update: conditions, then changes; all or nothing, decided when it is accepted, at one place
 * of the order, on every node alike. Built by the caller, consumed by replica_step().
 */
typedef struct Update Update;

Update *update_new(void);
void update_free(Update *update);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Update, update_free)

/* ---- conditions; the first that fails is named in the result */
void update_if_version(Update *update, const char *path, uint64_t version); /* 0: absent */
void update_if_lease(Update *update, const char *lease, Generation generation);
void update_if_fenced(Update *update, const char *node, Generation generation);
void update_if_run(Update *update, uint32_t vmid, const char *start_id); /* NULL: no record */
void update_if_dead(Update *update, uint32_t vmid); /* S34 holds for its record, or none */
void update_if_mig(Update *update, uint32_t vmid, const char *mig_id); /* NULL: none */

/* ---- changes of the tree. Content is (transfer none). */
/** exclusive: fails with EEXIST if there is one; else an existing file stays as it is. */
void update_create(Update *update, const char *path, GBytes *content, bool exclusive);
/** The whole content; makes the file if it is not there. Last writer wins. */
void update_write(Update *update, const char *path, GBytes *content);

/** One stretch of a file; the file grows with zeros where needed. */
typedef struct {
    uint32_t offset;
    GBytes *data;
} UpdateRange;

/**
 * update_patch:
 * @truncate_to: first cut, or grow with zeros, to this many bytes; -1: leave the length
 *
 * Changes ranges of a file as it is *then*: two nodes that write different parts lose nothing,
 * where they overlap the later one stands. ENOENT if the file is gone. One patch per close.
 */
void update_patch(Update *update, const char *path, int64_t truncate_to, const UpdateRange *ranges,
                  size_t n_ranges);
void update_remove(Update *update, const char *path); /* a file, or an empty folder */
void update_mkdir(Update *update, const char *path);
void update_rename(Update *update, const char *from, const char *to);     /* replaces the target */
void update_rename_new(Update *update, const char *from, const char *to); /* EEXIST: NOREPLACE */
/** Locks: refresh by the maker only, never backwards; 0 asks for an expired lock to go, EACCES
 *  while it is there, ENOENT when it is gone. */
void update_mtime(Update *update, const char *path, int64_t mtime_s);

/* ---- changes of records (S33, S35, S39, S46) */
void update_run(Update *update, uint32_t vmid, const char *node, const char *boot,
                const char *start_id, Generation guard);
void update_run_clear(Update *update, uint32_t vmid);
void update_guard(Update *update, uint32_t vmid, Generation guard);
/** A migration: of run @start_id, to @target under @target_boot, in @phase ("moving"). */
void update_mig(Update *update, uint32_t vmid, const char *mig_id, const char *start_id,
                const char *target, const char *target_boot, const char *phase);
void update_mig_clear(Update *update, uint32_t vmid);
typedef enum { OFF_RUNNING, OFF_DONE, OFF_FAILED } OffState;
/** A fence run for a boot (S35, S36): recorded as running first, then with its end. */
void update_off(Update *update, const char *node, const char *boot, Generation manager,
                int64_t deadline_s, OffState state);
void update_dead(Update *update, uint32_t vmid, const char *statement); /* an operator's word */
void update_lease_give(Update *update, const char *node); /* fenced → free; not while a run lives */

bool update_is_empty(const Update *update);

/* ---- what became of it */
typedef enum {
    UPDATE_DONE,
    UPDATE_CONFLICT,      /* condition `which` failed */
    UPDATE_NOT_FOUND,     /* ENOENT */
    UPDATE_NOT_DIR,       /* ENOTDIR */
    UPDATE_IS_DIR,        /* EISDIR */
    UPDATE_EXISTS,        /* EEXIST */
    UPDATE_GUEST_EXISTS,  /* EEXIST: the guest id is in use at another place */
    UPDATE_NOT_EMPTY,     /* ENOTEMPTY */
    UPDATE_DENIED,        /* EACCES */
    UPDATE_TOO_BIG,       /* EFBIG */
    UPDATE_FULL,          /* ENOSPC */
    UPDATE_NAME_TOO_LONG, /* ENAMETOOLONG */
    UPDATE_BAD,           /* EINVAL */
    UPDATE_HELD,          /* EEXIST: a lease is another's; left_ms says how long it may live */
    UPDATE_OVER,          /* that generation is not, or no longer, the caller's */
    /* not decided by the order: */
    UPDATE_NO_QUORUM,  /* EACCES; certainly not done */
    UPDATE_UNKNOWN,    /* EIO; it may still happen (S14) */
    UPDATE_CANCELLED,  /* EINTR; certainly not done */
    UPDATE_OVERLOADED, /* EBUSY: too many wait; certainly not done */
} UpdateCode;
#define UPDATE_CODES (UPDATE_OVERLOADED + 1)

typedef struct {
    UpdateCode code;
    uint16_t which;        /* index of the condition, or of the change, that failed */
    uint64_t sequence;     /* its place in the history; 0: none */
    Generation generation; /* of a lease taken */
    int64_t left_ms;       /* UPDATE_HELD: how long the holder's lease may still live */
    int64_t sent_ms;       /* of a renewal heard: as the holder gave it */
} UpdateResult;

int update_code_errno(UpdateCode code); /* as at the mount (interfaces.md 3, cfs.md 4) */
QError update_code_error(UpdateCode code);
const char *update_code_text(UpdateCode code); /* "no such file or folder" */

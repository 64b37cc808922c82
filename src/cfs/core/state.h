#pragma once
#include "cfs/core/record.h"
#include "cfs/core/tree_priv.h"
#include "cfs/core/update_priv.h"

/* All that is replicated, at one point of the history; and steps from one point to the next. */

typedef struct {
    Tree *tree;
    Records *records;
    uint64_t sequence; /* updates accepted since the beginning */
    Digest history;    /* chained over all of them and their outcome */
} State;

State *state_new(void);
State *state_copy(const State *state);
void state_free(State *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)
Digest state_digest(const State *state); /* of content: tree and records */

/** One entry or record before and after. Absent: NULL. */
typedef struct {
    uint64_t inode;
    TreeEntry *entry_before, *entry_after;
    char *key; /* set: a record, not an entry */
    GBytes *record_before, *record_after;
} StateChange;

/** What an update did: can be taken back, or done again on another copy of the state. */
typedef struct {
    GArray *changes; /* StateChange, in order */
    TreeFigures figures_before, figures_after;
    uint64_t sequence; /* after it */
    Digest history;    /* after it */
} Delta;

Delta *delta_new(const State *before);
void delta_free(Delta *delta);
void delta_undo(const Delta *delta, State *state); /* changes and figures, not the sequence */
void delta_redo(const Delta *delta, State *state); /* all of it */
void delta_undo_encode(const Delta *delta, GByteArray *bytes); /* what delta_undo() needs */
bool delta_undo_decode_apply(GBytes *bytes, State *state);     /* false: malformed */

/* Editing: state and delta together. */
typedef struct {
    State *state;
    Delta *delta;
} Edit;
void edit_put(Edit *edit, TreeEntry *entry); /* (transfer full) */
void edit_drop(Edit *edit, uint64_t inode);
void edit_record(Edit *edit, const char *key, GBytes *value); /* (transfer full) (nullable) */
uint64_t edit_next_version(Edit *edit, uint32_t writer, int64_t mtime_s);

/** Where an update stands in the order, and who sent it. */
typedef struct {
    UpdateId id;
    uint64_t epoch;  /* number of the open one */
    bool take_valid; /* the vote named in it held at its position (S21) */
} UpdatePlace;

/**
 * state_accept:
 * @body: an encoded envelope (update_priv.h)
 *
 * Decides and applies the next update; a malformed body is UPDATE_BAD like any other. The sender's
 * number is not looked at here. Returns: (transfer full): what changed, never NULL
 */
Delta *state_accept(State *state, GBytes *body, const UpdatePlace *place, UpdateResult *result);

/** state_begin_epoch: the step that every install makes on the winner's state (S7). */
Delta *state_begin_epoch(State *state, Epoch epoch);

/* update_apply.c, record_apply.c: one change. On failure the edit may be half done. */
UpdateCode tree_change_apply(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
                             const UpdatePlace *place);
UpdateCode record_change_apply(Edit *edit, const UpdateChange *change,
                               const UpdateEnvelope *envelope, const UpdatePlace *place);
bool update_condition_holds(const State *state, const UpdateCondition *condition);

#pragma once
#include "base/error.h"

/*
 * The new node's own memory of a join, /var/lib/quorate/join.json: each step is written before it
 * begins, so that whatever was interrupted, also by a power cut, can be taken back.
 */
typedef enum {
    JOIN_NONE,
    JOIN_REQUEST,  /* the member was, or is about to be, asked: it may hold an entry of ours */
    JOIN_FILES,    /* key and configuration in /etc/corosync are being replaced */
    JOIN_DATABASE, /* the old database has a complete second name; the tree is being replaced */
    JOIN_VOTE,     /* our own tree is the cluster's; the vote was, or is about to be, asked for */
} JoinStep;

typedef struct {
    JoinStep step;
    char *host, *fingerprint; /* of the member that was asked */
    char *node, *secret;      /* how it knows us */
    bool had_key, had_conf;   /* --force: there was a file before, kept beside */
} JoinState;

#define JOIN_STATE_FILE "join.json" /* in Q_STATE_DIR */

void join_state_clear(JoinState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JoinState, join_state_clear)

/** join_state_load: @state: untouched but for its step if there is no join. Errors: the file cannot
 * be read. */
bool join_state_load(JoinState *state, GError **error);
/** join_state_enter: writes @step, durably, before the step begins. */
bool join_state_enter(JoinState *state, JoinStep step, GError **error);
bool join_state_end(GError **error);

/** JoinSay: a line for the user. */
typedef void (*JoinSay)(const char *line, gpointer data);

/** join_install_files: step JOIN_FILES. @key: the bytes of Corosync's key. */
bool join_install_files(JoinState *state, const void *key, size_t key_length, const char *conf,
                        GError **error);
/** join_swap_database: step JOIN_DATABASE: cfsd is stopped, its database set aside. */
bool join_swap_database(JoinState *state, JoinSay say, gpointer data, GError **error);
/** join_start_services: corosync, then cfsd, on the new files. */
bool join_start_services(GError **error);

/**
 * join_stop_services, join_undo_files:
 *
 * Takes back what the steps up to state->step did, in two parts: between them the cluster's side
 * can be taken back. May be repeated after it was interrupted.
 */
bool join_stop_services(JoinState *state, GError **error);
bool join_undo_files(JoinState *state, GError **error);

/** join_finish: the old database becomes a backup (10 are kept), the old files go. */
bool join_finish(JoinState *state, JoinSay say, gpointer data, GError **error);

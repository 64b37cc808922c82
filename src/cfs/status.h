#pragma once
#include "base/json.h"

/*
 * What is replicated in memory only: status keys of each node, and the cluster log. In a process
 * group of its own; no order with the tree, no disk. A node's keys are its own: they go when its
 * daemon is started anew and come again when it sets them.
 */
typedef struct CfsStatus CfsStatus;

#define CFS_STATUS_VALUE_MAX (32 * 1024)
#define CFS_STATUS_KEY_MAX 255
#define CFS_LOG_ENTRY_MAX 4096
#define CFS_LOG_BYTES_MAX (128 * 1024)

typedef struct {
    /* A key changed; @value NULL: removed. */
    void (*changed)(const char *node, const char *key, const char *value, gpointer data);
    void (*members)(gpointer data);                       /* who is there changed */
    const char *(*name)(uint32_t node_id, gpointer data); /* borrowed; NULL: not in the cluster */
    gpointer data;
} CfsStatusEvents;

/** cfs_status_new: @node: this node's name. @events: copied. */
CfsStatus *cfs_status_new(const char *node, const CfsStatusEvents *events);
void cfs_status_free(CfsStatus *status); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsStatus, cfs_status_free)

/** cfs_status_follow: @clustered: join the group, or be alone. */
void cfs_status_follow(CfsStatus *status, bool clustered);
bool cfs_status_online(const CfsStatus *status, uint32_t node_id); /* its daemon is in the group */

/** cfs_status_set: a key of this node; @value "" removes it. Errors: Q_ERROR_INVALID, Q_ERROR_FULL
 */
bool cfs_status_set_own(CfsStatus *status, const char *key, const char *value, GError **error);
const char *cfs_status_value(const CfsStatus *status, const char *node,
                             const char *key);            /* or NULL; borrowed */
JsonObject *cfs_status_counters(const CfsStatus *status); /* (transfer full): node → key → number */

typedef struct {
    int priority; /* as syslog: 0..7 */
    const char *tag;
    const char *user;
    const char *message;
    int64_t pid;
} CfsLogEntry;

/** cfs_status_log: into the log of all nodes. Errors: Q_ERROR_INVALID */
bool cfs_status_log(CfsStatus *status, const CfsLogEntry *entry, GError **error);
/** cfs_status_log_text: (transfer full): {"data":[…]}, newest first. @user: (nullable): only theirs
 */
char *cfs_status_log_text(const CfsStatus *status, unsigned max, const char *user);
/** cfs_status_rrd_text: (transfer full): the keys "rrd/KEY" of the last 300 s, a line "KEY:VALUE"
 * each */
char *cfs_status_rrd_text(const CfsStatus *status);

#pragma once
#include "cfs/client.h"
#include "task/upid.h"

/*
 * What ran and runs on this node: `active` (running tasks and the newest that ended, 25 in all) and
 * behind it `index`, `index.1`. All under flock on `.active.lock`.
 */
typedef struct {
    Upid *upid;
    char *text; /* the UPID */
    bool running;
    int64_t ended_at_s; /* 0 while it runs */
    char *status;       /* NULL while it runs */
} TaskEntry;
void task_entry_free(TaskEntry *entry);

/** task_folder: Q_TASK_DIR, or $QUORATE_TASK_DIR (tests). */
const char *task_folder(void);

bool task_list_add(const char *upid, GError **error); /* a running one */
bool task_list_end(const char *upid, const char *status, GError **error);

/** task_list_active: settles tasks whose worker has died, then
 *  Returns: (transfer full) (element-type TaskEntry): newest first */
GPtrArray *task_list_active(GError **error);

typedef struct {
    int64_t start, limit; /* limit 0: all */
    const char *user;     /* (nullable): substring of the user, any case */
    const char *type;     /* (nullable) */
    const char *id;       /* (nullable) */
    int64_t since, until; /* 0: any */
    bool archive, active; /* which; both: all */
    bool errors;          /* only those that failed */
    char **status;        /* (nullable): of "ok", "warning", "error", "unknown" */
    bool (*allowed)(const TaskEntry *entry, gpointer data); /* (nullable): who may see it */
    gpointer data;
} TaskQuery;

/** task_list_query: @total (out): how many match in all.
 *  Returns: (transfer full) (element-type TaskEntry): newest first; with `active`, running ones too
 */
GPtrArray *task_list_query(const TaskQuery *query, int64_t *total, GError **error);

/** task_list_publish: tells the other nodes (status key `tasklist`); what cannot be told is not. */
void task_list_publish(CfsClient *cfs);

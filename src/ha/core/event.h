#pragma once
#include "base/json.h"

/*
 * What happened, as a typed value. The kinds, their fields and levels stand in one table in
 * event.c, and so does the text that people read: nobody else words a log line about a decision.
 */
typedef enum { HA_INFO, HA_NOTICE, HA_WARN, HA_ERR, HA_NOTIFY } HaLevel;

typedef enum {
    /* the harness of the simulator */
    HA_EVENT_SIM_START,
    HA_EVENT_SIM_END,
    HA_EVENT_COMMAND,
    HA_EVENT_WATCHDOG_POWEROFF,
    HA_EVENT_ROUND_SKIPPED,
    HA_EVENT_KILLED,
    HA_EVENT_EXITED,
    /* both managers */
    HA_EVENT_CRM_STATUS,
    HA_EVENT_LRM_STATUS,
    HA_EVENT_LOCK_ACQUIRED,
    HA_EVENT_ROUND_INCONSISTENT,
    HA_EVENT_CFS_ERROR,
    /* the cluster manager */
    HA_EVENT_SCHEDULER_MODE,
    HA_EVENT_CRM_SHUTDOWN_REQUESTED,
    HA_EVENT_MANAGER_LOCK_RELEASED,
    HA_EVENT_CRM_IDLE,
    HA_EVENT_NODE_STATE,
    HA_EVENT_SERVICE_ADDED,
    HA_EVENT_SERVICE_REMOVED,
    HA_EVENT_SERVICE_STATE,
    HA_EVENT_NOTIFICATION,
    HA_EVENT_FENCE_ACKNOWLEDGED,
    HA_EVENT_FENCE_WITHOUT_SERVICES,
    HA_EVENT_SERVICE_RECOVERED,
    HA_EVENT_NO_RECOVERY_NODE,
    HA_EVENT_LEFTOVER_LOCK_REMOVED,
    HA_EVENT_MOVE_DECIDED,
    HA_EVENT_MOVE_FAILED,
    HA_EVENT_MOVE_WRONG_NODE,
    HA_EVENT_START_BALANCE,
    HA_EVENT_START_BALANCE_IGNORED,
    HA_EVENT_AUTO_REBALANCE,
    HA_EVENT_START_FAILED_RELOCATING,
    HA_EVENT_START_RELOCATION_SUCCEEDED,
    HA_EVENT_START_POLICY_EXHAUSTED,
    HA_EVENT_ALL_NODES_TRIED,
    HA_EVENT_STOP_FAILED,
    HA_EVENT_CRM_COMMAND,
    HA_EVENT_CRM_COMMAND_REJECTED,
    HA_EVENT_CRM_COMMAND_BLOCKED,
    HA_EVENT_CO_MOVE,
    HA_EVENT_REQUEST_IGNORED,
    HA_EVENT_STOP_REQUESTED,
    HA_EVENT_MAINTENANCE_RETURN,
    HA_EVENT_MAINTENANCE_NODE_CLEARED,
    HA_EVENT_DISARM_FREEZE,
    HA_EVENT_DISARM_SUSPEND,
    HA_EVENT_DISARM_DEFERRED,
    HA_EVENT_DISARM_COMPLETE,
    HA_EVENT_DISARM_WATCHDOG_RELEASED,
    HA_EVENT_REARMING,
    HA_EVENT_DISARMED_TAKEOVER,
    HA_EVENT_DISARM_IGNORED,
    HA_EVENT_ARM_IGNORED,
    HA_EVENT_SERVICE_NODE_UPDATED,
    HA_EVENT_GROUPS_MIGRATION,
    HA_EVENT_GROUPS_CHECK_NODE,
    HA_EVENT_GROUPS_CHECK_LRM,
    HA_EVENT_GROUPS_CHECK_VERSION,
    HA_EVENT_GROUPS_MIGRATION_ABORT,
    HA_EVENT_GROUPS_MIGRATION_RETRY,
    /* the local manager */
    HA_EVENT_LRM_DISARMED,
    HA_EVENT_SHUTDOWN_REQUESTED,
    HA_EVENT_SHUTDOWN_PLAN,
    HA_EVENT_SHUTDOWN_BLOCKED,
    HA_EVENT_LRM_IDLE,
    HA_EVENT_SERVICE_STARTING,
    HA_EVENT_SERVICE_STARTED,
    HA_EVENT_START_FAILED,
    HA_EVENT_START_RETRY,
    HA_EVENT_START_RETRIES_EXHAUSTED,
    HA_EVENT_SERVICE_STOPPING,
    HA_EVENT_SERVICE_STOPPED,
    HA_EVENT_MOVE_BEGIN,
    HA_EVENT_MOVE_END,
    HA_EVENT_SERVICE_LOCKED,
    HA_EVENT_SERVICE_NOT_HERE,
    HA_EVENT_SERVICE_IN_ERROR,
    /* of ours: what the fast profiles add; never in the classic one */
    HA_EVENT_REPORT,            /* a remark for the log alone, not compared by stories */
    HA_EVENT_LOCAL_END,         /* the lease ran out: this node ends its guarded guests */
    HA_EVENT_LOCAL_END_PROVEN,  /* they are dead, the watchdog is closed */
    HA_EVENT_LEASE_ADOPTED,     /* a restarted local manager goes on with the lease it had */
    HA_EVENT_LEASE_GIVEN,       /* a fenced node may take its lease again */
    HA_EVENT_RECOVERY_UNPROVEN, /* a guest is not recovered: nothing proves it dead */
    HA_EVENT_FENCE_BRAKE,       /* most of the cluster would be fenced at once: asks twice */
    HA_EVENT_GUEST_GUARDED,     /* a running guest came under this node's lease */
    HA_EVENT_GUEST_UNGUARDED,
    HA_EVENT_SERVICE_FOUND_DEAD, /* a guest ended by itself; it is started again */
    HA_EVENT_KINDS
} HaEventKind;

/* Fields, with the type of the value that ha_event_new() takes. */
typedef enum {
    HA_F_END,
    /* const char *; NULL: the field is absent */
    HA_F_SID,
    HA_F_NODE,
    HA_F_FROM,
    HA_F_TO,
    HA_F_TARGET,
    HA_F_ACTION,
    HA_F_CAUSE,
    HA_F_REASON,
    HA_F_LOCK,
    HA_F_MODE,
    HA_F_OP,
    HA_F_ROLE,
    HA_F_KIND,
    HA_F_PLAN,
    HA_F_POLICY,
    HA_F_IGNORED,
    HA_F_STATE,
    HA_F_STEP,
    HA_F_VERSION,
    HA_F_BLOCKER,
    HA_F_WITH,
    HA_F_WAS,
    HA_F_TEXT,
    HA_F_GENERATION,
    /* const char *const *, %NULL-terminated; NULL: absent */
    HA_F_ARGV,
    HA_F_NODES,
    /* int; -1: absent but for HA_F_RC, which is always there */
    HA_F_RC,
    HA_F_TIMEOUT,
    HA_F_TRIES,
    HA_F_ROUNDS,
    HA_F_SERVICES,
    HA_F_SECONDS,
    /* double */
    HA_F_BEFORE,
    HA_F_AFTER,
    /* int, shown as true or false */
    HA_F_MOVED,
    HA_F_MAINTENANCE,
    HA_FIELDS
} HaField;

typedef struct HaEvent HaEvent;

/**
 * ha_event_new:
 *
 * Takes pairs of HaField and value, ended by HA_F_END:
 * ha_event_new(HA_EVENT_SERVICE_ADDED, HA_F_SID, sid, HA_F_NODE, node, HA_F_END). Values are
 * copied.
 */
HaEvent *ha_event_new(HaEventKind kind, ...);
void ha_event_set_level(HaEvent *event, HaLevel level); /* else that of the table */
void ha_event_free(HaEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaEvent, ha_event_free)

HaEventKind ha_event_kind(const HaEvent *event);
const char *ha_event_name(const HaEvent *event); /* "service-state" */
HaLevel ha_event_level(const HaEvent *event);
const char *ha_event_level_name(const HaEvent *event);            /* "info" */
const char *ha_event_string(const HaEvent *event, HaField field); /* NULL: absent */

/** ha_event_text: Returns: (transfer full): the line for the log, without time and source */
char *ha_event_text(const HaEvent *event);

/**
 * ha_event_json:
 *
 * Returns: (transfer full): one line: {"t":T,"by":"BY","event":…,"level":…, fields in the order
 *   in which they were given}
 */
char *ha_event_json(const HaEvent *event, int64_t t, const char *by);

/** ha_event_each: calls @field for each field in order: its name and its value as JSON text. The
 *  journal takes structured fields this way. */
typedef void (*HaEventFieldFunc)(const char *name, const char *json, gpointer data);
void ha_event_each(const HaEvent *event, HaEventFieldFunc field, gpointer data);

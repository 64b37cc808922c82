#pragma once
#include "base/json.h"

/* The documents of the managers: manager_status and nodes/NODE/lrm_status (interfaces.md, ha.md
 * 16). */

#define HA_MANAGER_LEASE "ha_manager_lock"
char *ha_agent_lease(const char *node); /* (transfer full) "ha_agent_NODE_lock" */

typedef enum {
    HA_STATE_NONE, /* in the table of moves: not under management */
    HA_STATE_STOPPED,
    HA_STATE_REQUEST_START,
    HA_STATE_REQUEST_START_BALANCE,
    HA_STATE_REQUEST_STOP,
    HA_STATE_STARTED,
    HA_STATE_FENCE,
    HA_STATE_RECOVERY,
    HA_STATE_MIGRATE,
    HA_STATE_RELOCATE,
    HA_STATE_FREEZE,
    HA_STATE_ERROR,
    HA_STATES
} HaState;
const char *ha_state_name(HaState state);
bool ha_state_parse(const char *name, HaState *state);

typedef enum {
    HA_NODE_UNKNOWN,
    HA_NODE_ONLINE,
    HA_NODE_MAINTENANCE,
    HA_NODE_FENCE,
    HA_NODE_GONE,
} HaNodeState;
const char *ha_node_state_name(HaNodeState state);

typedef enum {
    HA_MODE_ACTIVE,
    HA_MODE_RESTART,
    HA_MODE_SHUTDOWN,
    HA_MODE_MAINTENANCE,
    HA_MODE_DISARM,
} HaMode;
const char *ha_mode_name(HaMode mode);
HaMode ha_mode_parse(const char *name); /* unknown and NULL: active */

/* One entry of service_status. Strings are owned, NULL if absent. */
typedef struct {
    char *sid;
    HaState state;
    char *node;
    char *uid; /* changes whenever the local manager has to look again */
    char *target;
    int timeout_s;      /* of a requested stop; -1: none given */
    char *command;      /* pending: "migrate", "relocate", "stop"; NULL: none */
    char *command_node; /* its target */
    int command_timeout_s;
    bool running;
    GPtrArray *failed_nodes; /* char *, may repeat; NULL: none */
    char *maintenance_node;  /* where it came from when that node went into maintenance */
} HaService;

typedef struct {
    char *master_node; /* or NULL */
    int64_t timestamp_s;
    GHashTable *nodes;    /* name -> GINT_TO_POINTER(HaNodeState) */
    GHashTable *requests; /* names of nodes with a maintenance request (a set) */
    char *disarm_mode;    /* "freeze", "ignore"; NULL: armed */
    char *disarm_state;   /* "disarming", "disarmed" */
    GHashTable *services; /* sid -> HaService */
} HaStatus;

HaStatus *ha_status_new(void);
HaStatus *ha_status_copy(const HaStatus *status);
void ha_status_free(HaStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaStatus, ha_status_free)
/** ha_status_parse: @text NULL, "" or "{}" is an empty status. Errors: Q_ERROR_INVALID */
HaStatus *ha_status_parse(const char *text, GError **error);
char *
ha_status_text(const HaStatus *status); /* (transfer full): keys sorted: equal text if equal */
HaNodeState ha_status_node(const HaStatus *status, const char *node);  /* absent: unknown */
HaService *ha_status_service(const HaStatus *status, const char *sid); /* borrowed, or NULL */

HaService *ha_service_new(const char *sid, HaState state, const char *node);
void ha_service_free(HaService *service);

typedef struct {
    char *sid;
    HaState state; /* the command that it answers */
    int rc;        /* ha.md 1: result codes */
} HaResult;

typedef struct {
    char *state; /* "wait_for_agent_lock", "active", "lost_agent_lock", "maintenance" */
    HaMode mode;
    int64_t timestamp_s;
    GHashTable *results; /* uid -> HaResult */
} HaLrmStatus;

HaLrmStatus *ha_lrm_status_new(void);
HaLrmStatus *ha_lrm_status_parse(const char *text, GError **error);
char *ha_lrm_status_text(const HaLrmStatus *status);
void ha_lrm_status_free(HaLrmStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaLrmStatus, ha_lrm_status_free)
void ha_lrm_status_set(HaLrmStatus *status, const char *uid, const char *sid, HaState state,
                       int rc);

/* Result codes */
enum {
    HA_RC_CRASHED = -1,
    HA_RC_OK = 0,
    HA_RC_ERROR = 1,
    HA_RC_AGAIN = 2, /* never leaves the local manager */
    HA_RC_WRONG_NODE = 3,
    HA_RC_UNKNOWN_TYPE = 4,
    HA_RC_UNKNOWN_COMMAND = 5,
    HA_RC_INVALID = 6,
    HA_RC_UNKNOWN_SERVICE = 7,
    HA_RC_IGNORED = 8,
};

#pragma once
#include "base/sorted.h"
#include "ha/core/crm.h"
#include "ha/core/rules.h"
#include "ha/core/usage.h"

/* What the files crm*.c, node.c, service.c, placement.c, rebalance.c, commands.c, disarm.c and
 * groups.c share. */

typedef enum { CRM_WAIT_FOR_QUORUM, CRM_SLAVE, CRM_MASTER, CRM_LOST_MANAGER_LOCK } CrmState;

struct Crm {
    CrmState state;
    bool shutdown_requested;
    bool left;
    bool watchdog; /* classic: ours is open */
    bool disarmed; /* we hold the manager lock without a watchdog */
    int idle_rounds;
    HaLease lease;
    bool has_lease;
    HaTime asked;   /* when the lease was asked for or renewed last */
    HaTime counted; /* when a round counted last: rounds run on any change, counters by time */
    bool has_asked, has_counted;
    int64_t wake_ms;

    /* while master */
    HaStatus *status;      /* as committed last */
    GHashTable *last_seen; /* node -> int64_t *: ms */
    HaAffinity *affinity;  /* or NULL: not compiled yet */
    char *rules_text;      /* that it was compiled from */
    char *groups_text;
    int imbalance_rounds;
    int groups_rounds;
    char *mode; /* placement mode as reported last */
    uint64_t uids;
    GHashTable *unplaced; /* sids already reported to have no node (not classic): a set */
    char *brake; /* nodes that a round before wanted to fence at once (S37), joined; or NULL */

    /* a commit under way */
    uint64_t commit_id;
    HaStatus *next;    /* its status; NULL: no commit is under way */
    GPtrArray *events; /* to be told once it is committed */
    bool commit_pending;
};

/* One round: the working copies, and what came of it. */
typedef struct {
    Crm *crm;
    HaEnv *env;
    const HaWorld *world;
    int64_t now_ms;
    bool counts; /* a full round's time has passed: counters of rounds go on */
    HaStatus *status;
    GHashTable *changed; /* sid -> HaConfig: configurations as changed in this round */
    GHashTable *modes;   /* node -> HaMode + 1, of nodes known when the round began */
    GHashTable *results; /* uid -> const HaResult * */
    HaUsage *usage;
    HaUsageMode usage_mode;
    GPtrArray *online; /* const HaNode *: online when the round began, sorted */
    GPtrArray *events;
    HaCommit *commit;
    GHashTable *lost; /* nodes proven to be lost, this round (not classic): name -> HaOutcome + 1 */
    GPtrArray *to_fence;    /* nodes that this round began to fence */
    const char *rules_text; /* as they are in this round; NULL: none */
    const char *groups_text;
    char *new_rules; /* written in this round, or NULL */
    bool nodes_changed;
    bool stopped; /* the round ended early */
    bool fully_disarmed;
} HaRound;

void round_emit(HaRound *round, HaEvent *event); /* (transfer full) */
void round_report(HaRound *round, const char *sid, const char *format, ...) G_GNUC_PRINTF(3, 4);
const HaConfig *round_config(HaRound *round, const char *sid); /* as changed; NULL: none */
HaConfig *round_change_config(HaRound *round, const char *sid);
HaRequest round_request(HaRound *round, const char *sid); /* no configuration: disabled */
HaNodeState round_node(const HaRound *round, const char *node);
bool round_online(const HaRound *round, const char *node);              /* node state online */
bool round_mode(const HaRound *round, const char *node, HaMode *mode);  /* false: not read */
const HaResult *round_result(HaRound *round, const HaService *service); /* NULL: none */
char *round_uid(HaRound *round);                                        /* (transfer full) */
GPtrArray *
round_sids(const HaRound *round); /* (transfer container): services under management, sorted */
void round_run(HaRound *round);

/* node.c */
void round_update_nodes(HaRound *round);
bool round_node_lost(HaRound *round, const char *node); /* away long enough to be fenced */
bool round_fence(HaRound *round, const char *node);     /* true: it is fenced now */

/* service.c */
typedef struct {
    HaState from, to;
    const char *because;
} HaServiceMove;
const HaServiceMove *
ha_service_moves(size_t *count); /* the table: what is not in it does not happen */
const HaServiceMove *ha_service_find_move(HaState from, HaState to);
void service_set(HaRound *round, HaService *service, HaState state, const char *node,
                 const char *target, int timeout_s);
void service_step(HaRound *round, HaService *service);
void service_load(HaRound *round, const HaService *service);
bool service_nodes(const HaRound *round, const HaService *service, const char **current,
                   const char **target);

/* placement.c */
typedef enum { HA_PREFER_STAY, HA_PREFER_BEST, HA_PREFER_NEXT } HaPreference;
const char *round_choose(HaRound *round, const HaService *service, HaPreference preference);
/* Nodes of the highest priority that are online, and all allowed ones. (transfer full), sorted */
void round_candidates(HaRound *round, const char *sid, GPtrArray **allowed, GPtrArray **preferred);
GHashTable *round_apart(HaRound *round, const char *sid);    /* node -> count; (transfer full) */
GHashTable *round_together(HaRound *round, const char *sid); /* node -> count; (transfer full) */
void round_build_usage(HaRound *round);
void round_compile_rules(HaRound *round);

/* commands.c */
void round_take_commands(HaRound *round);
void round_queue_motion(HaRound *round, const char *action, const char *sid, const char *node);

/* rebalance.c, disarm.c, groups.c */
void round_rebalance(HaRound *round);
GPtrArray *round_bundles(HaRound *round); /* (element-type GPtrArray of sid): leader first */
bool round_disarm(HaRound *round, GPtrArray **held_up); /* true: the round ends here */
void round_migrate_groups(HaRound *round);
bool round_has_groups(const HaRound *round);
GPtrArray *round_group_rules(HaRound *round); /* HaRule, to be added to the rules; NULL: none */
bool round_failback(HaRound *round, const HaConfig *config);

#pragma once
#include "base/sorted.h"
#include "ha/core/crm.h"
#include "ha/core/lrm.h"
#include "sim/classic.h"

typedef struct Classic Classic;
typedef struct ClassicNode ClassicNode;

typedef enum { ROLE_CRM, ROLE_LRM, ROLES } ClassicRole;

typedef struct {
    HaEnv env; /* first: the core gets a pointer to it */
    Classic *sim;
    ClassicNode *node;
    ClassicRole role;
    HaWorld *world;
    HaLocal local;
    int64_t clock_s;
    int64_t watchdog_s; /* last update; -1: not open */
} ClassicSlot;

struct ClassicNode {
    char *name;
    HaNode *info;
    bool power, network;
    bool rw, update; /* the storage works */
    enum { INTENT_NONE, INTENT_SHUTDOWN, INTENT_REBOOT } intent;
    bool restart_lrm;
    GHashTable *running; /* sids (a set) */
    Crm *crm;            /* NULL: absent */
    Lrm *lrm;
    ClassicSlot slots[ROLES];
};

typedef struct {
    char *node;
    int64_t renewed_s;
} ClassicLock;

struct Classic {
    HaTiming timing;
    GPtrArray *nodes;     /* ClassicNode, sorted */
    GHashTable *configs;  /* sid -> HaConfig */
    GHashTable *failures; /* "sid start", "sid move" -> how often in a row */
    char *status;
    uint64_t status_version;
    GHashTable *lrm_status; /* node -> text */
    GPtrArray *commands;
    char *rules;
    char *groups;
    HaDatacenter *datacenter;
    GHashTable *locks; /* name -> ClassicLock */
    int64_t now_s;     /* the harness clock */
    int skip[ROLES];
    ClassicEvent tell;
    gpointer data;
};

/* classic_env.c */
void classic_env_init(ClassicSlot *slot, Classic *sim, ClassicNode *node, ClassicRole role);
void classic_env_clear(ClassicSlot *slot);
bool classic_quorate(const Classic *sim);
bool classic_up(const ClassicNode *node);

/* classic_guest.c */
HaOutcome classic_submit(HaEnv *env, const HaJob *job, int *rc);

/* classic.c */
void classic_emit(Classic *sim, int64_t t, const char *by, HaEvent *event); /* (transfer full) */
bool classic_command(Classic *sim, const char *line, const char *by, GError **error);

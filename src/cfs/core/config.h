#pragma once
#include "cfs/core/state.h"

/*
 * Who counts (S2, S4, S6): voters, their weights and database ids, in record "config". While a
 * change is pending both the old and the new voters are there, and a majority is one of each.
 */
#define CONFIG_VOTERS_MAX 64

typedef struct {
    uint32_t node_id;
    uint32_t weight;
    uint64_t database; /* 0: not known yet */
    uint64_t joined;   /* newest epoch number that this database is known to have joined (S6) */
    char node[256];
} ConfigVoter;

typedef struct {
    int references;
    uint64_t number;  /* +1 with every change of voters */
    uint64_t cluster; /* random, of the first database */
    uint64_t lineage; /* random; another one after a forced recovery (S5) */
    size_t n, n_old;
    ConfigVoter *voters; /* from now on */
    ConfigVoter *old;    /* n_old > 0: the change is not committed yet */
} Config;

Config *config_new(void);
Config *config_ref(Config *config);
void config_unref(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_unref)

GBytes *config_encode(const Config *config);
Config *config_decode(GBytes *bytes);      /* NULL: malformed */
Config *config_of(const Records *records); /* (transfer full) NULL: none */
Config *config_sole(uint32_t node_id, const char *node, uint64_t database, uint64_t cluster,
                    uint64_t lineage);

/** config_voter: the entry that lists @database for @node_id; a sole voter counts under any id. */
const ConfigVoter *config_voter(const Config *config, uint32_t node_id, uint64_t database);
bool config_has_node(const Config *config, uint32_t node_id);

/** Does the database of this voter belong to the set that is counted? */
typedef bool (*ConfigCounts)(const ConfigVoter *voter, gconstpointer data);
bool config_majority(const Config *config, ConfigCounts counts, gconstpointer data);

/** config_wanted: voters as corosync.conf text names them: node ids, names, weights (S2); no ids.
 */
bool config_wanted(GBytes *corosync_conf, GArray *voters);

UpdateCode config_change_apply(Edit *edit, const UpdateChange *change);
char *config_text(const Config *config); /* "node1 1, node2 1, node3 0" */

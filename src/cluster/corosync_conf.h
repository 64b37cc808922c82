#pragma once
#include "base/error.h"

/*
 * corosync.conf as a value: parse, look, change, check, print. Nothing here opens a file, asks for
 * the time or resolves a name, so that cfsd can decide on a write of the file, and the simulator on
 * its weights, from text alone.
 *
 * Keys and blocks that we do not know survive a rewrite; comments do not. Printed form: keys
 * sorted, nodes by name, interfaces by link number, two blanks a level, an empty line after each
 * top block. Source: corosync.conf(5), votequorum(5); Proxmox VE documentation, pvecm.
 */
typedef struct CorosyncConf CorosyncConf;

#define COROSYNC_LINKS 8 /* knet's limit */
#define COROSYNC_NODE_ID_MAX 0x7fffffffu

/** corosync_conf_parse: Errors: Q_ERROR_INVALID with the line. Syntax only: see
 * corosync_conf_check(). */
CorosyncConf *corosync_conf_parse(const char *text, GError **error);
CorosyncConf *corosync_conf_copy(const CorosyncConf *conf);
void corosync_conf_free(CorosyncConf *conf); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CorosyncConf, corosync_conf_free)

char *corosync_conf_text(const CorosyncConf *conf); /* (transfer full) */

/* ------------------------------------------------------------------ looking */

/** corosync_conf_get: @block: "totem", "quorum", "quorum.device.net", …; the first of that name.
 *  Returns: (transfer none) (nullable): the value as it stands in the file */
const char *corosync_conf_get(const CorosyncConf *conf, const char *block, const char *key);
bool corosync_conf_has_block(const CorosyncConf *conf, const char *block);
char **corosync_conf_keys(const CorosyncConf *conf, const char *block); /* (transfer full) sorted */
/** corosync_conf_interface: is there an interface block for @link? @priority (out): 0 if absent */
bool corosync_conf_interface(const CorosyncConf *conf, int link, int *priority);

int64_t corosync_conf_version(const CorosyncConf *conf); /* config_version; 0 if absent or bad */
const char *corosync_conf_cluster_name(const CorosyncConf *conf); /* "" if absent */
bool corosync_conf_encrypted(const CorosyncConf *conf);           /* secauth or a cipher is on */

typedef struct {
    const char *name; /* "name", else ring0_addr; strings are borrowed from the configuration */
    uint32_t id;
    uint32_t votes;                   /* quorum_votes; Corosync counts an absent one as 1 */
    const char *addr[COROSYNC_LINKS]; /* ringN_addr; NULL: the node is not on that link */
} CorosyncNode;

/** corosync_conf_nodes: Returns: (transfer full) (element-type CorosyncNode): sorted by name; valid
 * as long as @conf is not changed. Free with g_array_unref(). */
GArray *corosync_conf_nodes(const CorosyncConf *conf);
/** corosync_conf_node: @node: (out) (optional). Returns: whether there is a node called @name, or
 * with that address on any link */
bool corosync_conf_node(const CorosyncConf *conf, const char *name, CorosyncNode *node);

/** corosync_conf_is_sample: every address is a loopback: what Debian's package brings, no cluster.
 */
bool corosync_conf_is_sample(const CorosyncConf *conf);

/** corosync_conf_token_ms: Corosync's real token: 3000 if absent, plus (nodes - 2) ×
 * token_coefficient (650 if absent) from three nodes on. */
int64_t corosync_conf_token_ms(const CorosyncConf *conf);

/* ------------------------------------------------------------------ checking */

/**
 * corosync_conf_check:
 * @warnings: (out) (optional) (element-type char *): what deserves a word but is no error
 *
 * Totem and nodes are there and sane; names, ids and addresses are unique; every node is on the
 * same links; interface blocks and links name each other; somebody has a vote.
 *
 * Returns: false with Q_ERROR_INVALID and all complaints, "; " between them
 */
bool corosync_conf_check(const CorosyncConf *conf, GPtrArray **warnings, GError **error);

/**
 * corosync_conf_check_change:
 * @old_text: (nullable): the committed file, or %NULL if there is none
 * @new_text: what is to become corosync.conf
 * @own_name: (nullable): a node that must be in it
 * @fresh: (out) (optional) (transfer full): the parsed @new_text
 *
 * The rule for a write of corosync.conf in the tree: it parses, passes corosync_conf_check(), its
 * version is higher than the old one, the cluster keeps its name, node ids stay with their names.
 */
bool corosync_conf_check_change(const char *old_text, const char *new_text, const char *own_name,
                                CorosyncConf **fresh, GError **error);

/** corosync_node_name_ok: letters, digits, inner hyphens, at most 63. */
bool corosync_node_name_ok(const char *name);
/** corosync_cluster_name_ok: as a node's name, at most 15. */
bool corosync_cluster_name_ok(const char *name);

/* ------------------------------------------------------------------ changing */

typedef struct {
    char *addr;   /* (owned) numeric address or name; NULL: link not used */
    int priority; /* 0..255, the higher wins; 0 is not written */
} CorosyncLink;

/** corosync_link_parse: "ADDR[,priority=N]", "address=ADDR" too. Errors: Q_ERROR_INVALID. */
bool corosync_link_parse(const char *text, CorosyncLink *link, GError **error);
void corosync_links_clear(CorosyncLink links[COROSYNC_LINKS]);

typedef struct {
    const char *cluster_name;
    const char *node;
    uint32_t node_id;          /* 0: 1 */
    uint32_t votes;            /* of the first node */
    int64_t token_ms;          /* 0: not written */
    int64_t token_coefficient; /* ms; -1: not written */
    const CorosyncLink *links; /* COROSYNC_LINKS of them */
} CorosyncConfNew;

/** corosync_conf_new: a cluster of one, config_version 1. */
CorosyncConf *corosync_conf_new(const CorosyncConfNew *options);

void corosync_conf_bump(CorosyncConf *conf); /* config_version + 1: once for each write */
/** corosync_conf_set: makes the block if needed; @value %NULL removes the key. */
void corosync_conf_set(CorosyncConf *conf, const char *block, const char *key, const char *value);

/**
 * corosync_conf_add_node:
 * @node: its id 0: the lowest free one
 * @force: an entry of that name is replaced if its id and votes fit
 * @fallback_addr: (nullable): address for link 0 if @node has none and the cluster has one link
 *
 * Errors (Q_ERROR_EXISTS, Q_ERROR_INVALID): name, id or address taken; other links than the
 * others'.
 */
bool corosync_conf_add_node(CorosyncConf *conf, const CorosyncNode *node, bool force,
                            const char *fallback_addr, GError **error);
/** corosync_conf_fit_token: after a change of the number of nodes: a token that has our own value
 * for
 *  @nodes_before (1000 to 8 nodes, 62.5 more for each beyond, coefficient 0) gets that for the
 *  present number; another one is the administrator's and stays. */
void corosync_conf_fit_token(CorosyncConf *conf, guint nodes_before);
bool corosync_conf_remove_node(CorosyncConf *conf, const char *name); /* false: it was not there */
bool corosync_conf_set_votes(CorosyncConf *conf, const char *name, uint32_t votes);

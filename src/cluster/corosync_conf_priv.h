#pragma once
#include "cluster/corosync_conf.h"

/* A block holds keys and blocks in the order in which they were read; only printing sorts. */
typedef struct ConfBlock ConfBlock;
typedef struct {
    char *name;
    char *value;      /* NULL: a block */
    ConfBlock *block; /* NULL: a key */
} ConfItem;

struct ConfBlock {
    GPtrArray *items; /* ConfItem */
};

struct CorosyncConf {
    ConfBlock *root;
};

ConfBlock *conf_block_new(void);
void conf_block_free(ConfBlock *block);
ConfBlock *conf_block_add(ConfBlock *block, const char *name);             /* a new block */
ConfBlock *conf_block_child(const ConfBlock *block, const char *name);     /* first, or NULL */
const char *conf_block_get(const ConfBlock *block, const char *key);       /* or NULL */
void conf_block_set(ConfBlock *block, const char *key, const char *value); /* NULL removes */
bool conf_number(const char *text, uint64_t min, uint64_t max, uint64_t *value); /* digits only */
CorosyncNode conf_node(const ConfBlock *block); /* of a "node" block; what is bad reads as 0 */

#pragma once
#include "ha/core/env.h"

/*
 * Which service loads which node, and what one more would do to it (ha.md 11). Three modes: basic
 * counts services; static adds up what guests may use; dynamic takes what nodes do use.
 */
typedef enum { HA_USAGE_BASIC, HA_USAGE_STATIC, HA_USAGE_DYNAMIC } HaUsageMode;
typedef struct HaUsage HaUsage;

/** ha_usage_new: @nodes (element-type HaNode): those that count, sorted by name; borrowed */
HaUsage *ha_usage_new(HaUsageMode mode, GPtrArray *nodes);
void ha_usage_free(HaUsage *usage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaUsage, ha_usage_free)

guint ha_usage_nodes(const HaUsage *usage);
const char *ha_usage_node_name(const HaUsage *usage, guint index);
int ha_usage_find(const HaUsage *usage, const char *node); /* -1: not in the table, also for NULL */

/** ha_usage_set: @config (nullable) must outlive the table; nodes that are not in it do not count
 */
void ha_usage_set(HaUsage *usage, const char *sid, const char *current, const char *target,
                  bool running, const HaConfig *config);
bool ha_usage_has(const HaUsage *usage, const char *sid);

/** ha_usage_score: @scores (array length=ha_usage_nodes()): lower is better, for placing @config */
void ha_usage_score(HaUsage *usage, const HaConfig *config, double *scores);

/** ha_usage_imbalance: the coefficient of variation of the nodes' loads; 0 in basic mode */
double ha_usage_imbalance(HaUsage *usage);

typedef struct {
    guint from, to;  /* nodes by index */
    double cpu, mem; /* that go with it */
} HaUsageMove;
/** ha_usage_imbalance_after: the imbalance that would be after @move */
double ha_usage_imbalance_after(HaUsage *usage, const HaUsageMove *move);
/** ha_usage_rank: TOPSIS over @moves. Returns: the index of the best; the first of equals */
guint ha_usage_rank(HaUsage *usage, const HaUsageMove *moves, guint count);

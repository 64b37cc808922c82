#pragma once
#include "base/error.h"

/* ha/fence.cfg: devices, and which outlet of which device a node hangs on (ha.md 16). */
typedef struct HaFenceConfig HaFenceConfig;

typedef struct {
    int line;
    char *name;         /* the device "NAME:SUB", or the node */
    const char *reason; /* "device-not-declared", "device-declared-twice", "node-connected-twice",
                           "syntax" */
} HaFenceProblem;

/** ha_fence_parse: never fails; what is wrong is in ha_fence_problems(), and then nothing counts.
 */
HaFenceConfig *ha_fence_parse(const char *text);
void ha_fence_free(HaFenceConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaFenceConfig, ha_fence_free)

GPtrArray *
ha_fence_problems(const HaFenceConfig *config); /* (element-type HaFenceProblem), borrowed */

/**
 * ha_fence_commands:
 * @try: from 0: the (try + 1)-th device in the file that knows @node
 *
 * Returns: (element-type utf8) (transfer full): command lines, all of which must succeed; empty if
 *   there is no such device
 */
GPtrArray *ha_fence_commands(const HaFenceConfig *config, const char *node, guint try);
guint ha_fence_tries(const HaFenceConfig *config); /* after as many nobody has a device left */

#pragma once
#include "ha/core/env.h"
#include "ha/mirror.h"

/**
 * ha_world_build:
 * @node: this node
 * @boot: of this host
 * @warnings: (nullable): char * are added: what stands in files and cannot be used
 *
 * The HA core's snapshot from what the mirror holds. Sections of resources.cfg that are no guests
 * of ours are left out. `local`, `updated` and `wall_s` are the caller's.
 */
HaWorld *ha_world_build(const HaMirror *mirror, const char *node, const char *boot,
                        GPtrArray *warnings);

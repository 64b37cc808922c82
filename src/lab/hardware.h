#pragma once
#include "base/json.h"
#include "lab/lab.h"

/*
 * The lab's hardware: one process per lab, outside the hosts, that is their mains, watchdogs, power
 * device, forwarded ports, and the eye on guest processes. Its death ends nothing else.
 */

/** lab_hardware_start: Returns when it serves; it outlives this process. */
bool lab_hardware_start(const Lab *lab, GError **error);

/** lab_hardware_main: @ready gets one byte when it serves, or text with the reason. */
int lab_hardware_main(const Lab *lab, int ready);

/**
 * lab_hardware_ask: {"op":…,…} → the answer's "ok" object
 *   power    node, action: off (answers when all is dead), on (when booted), reset (when off);
 *            wait: false answers at once
 *   wait-off node: answers when the host is off
 *   state    → nodes: [state,…], guests: [as in `status --json`]
 *   history  vmid → intervals
 *   overlaps vmid → pairs
 */
JsonObject *lab_hardware_ask(const Lab *lab, JsonObject *request, int timeout_ms, GError **error);
bool lab_hardware_lives(const Lab *lab);

#pragma once
#include "base/json.h"
#include "lab/lab.h"

/** lab_status: (transfer full): the object of `status --json`. A hardware process that is gone is
 *  in it as "hardware": false; then power is judged by the hosts' processes and no guest is seen.
 */
JsonObject *lab_status(const Lab *lab);
void lab_status_print(JsonObject *status); /* the same for people */

void lab_history_print(JsonArray *intervals);
void lab_overlaps_print(JsonArray *pairs); /* nothing if there are none */

#pragma once
#include "lab/power.h"

/*
 * The power device of all hosts, at 10.77.0.254 and 10.77.1.254, outside all of them: what a fence
 * agent talks to. One line a connection, "SECRET VERB NODE"; VERB: on off status list. Answered
 * after half a second "ok on", "ok off", "ok node1 node2", or "error WHY".
 */
#define LAB_BMC_PORT 6230

bool lab_bmc_start(const Lab *lab, LabPower *power, GError **error);

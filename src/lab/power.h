#pragma once
#include "lab/lab.h"

/*
 * The mains of the hosts: on, off, and what happens when a host's pid 1 ends by itself. Lives in
 * the hardware process.
 */
typedef struct LabPower LabPower;

typedef enum { LAB_OFF, LAB_BOOTING, LAB_ON, LAB_DYING } LabPowerState;

/** lab_power_new: @changed is told of each move of a host. */
LabPower *lab_power_new(const Lab *lab, void (*changed)(int node, gpointer data), gpointer data,
                        GError **error);

LabPowerState lab_power_state(const LabPower *power, int node);
const char *lab_power_why(const LabPower *power, int node); /* a boot that failed; or NULL */

void lab_power_on(LabPower *power, int node);
/** lab_power_off: links down, pid 1 and all others killed. @boot_after_ms: -1 stays off */
void lab_power_off(LabPower *power, int node, int64_t boot_after_ms);

/** lab_power_reaped: a child of the hardware process ended (boot helpers, hosts). */
void lab_power_reaped(LabPower *power, pid_t pid, int status);

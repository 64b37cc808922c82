#pragma once
#include "cfs/client.h"

/**
 * guest_onboot:
 *
 * Starts the guests of this node that have `onboot: 1` and are not under HA, once in a boot: in the
 * order of `startup order=`, those without last, then by id; each as a task, with the delay of
 * `up=` or 3 s after it. Waits for as long as that takes: run it in a thread. Does nothing without
 * quorum (S42), then the next call does it.
 */
void guest_onboot(CfsClient *cfs);

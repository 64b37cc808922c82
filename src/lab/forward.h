#pragma once
#include "lab/lab.h"

/** lab_forward_start: a port on 127.0.0.1 of the machine, written to nodes/nodeI/port, whose
 *  connections go to the host's port 8006. Lives in the hardware process. */
bool lab_forward_start(const Lab *lab, int node, GError **error);

/** lab_forward_port: 0 if there is none */
int lab_forward_port(const Lab *lab, int node);

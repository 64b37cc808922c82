#pragma once
#include "lab/lab.h"

/*
 * The lab's network: one bridge per link in a namespace of their own, so that no packet reaches the
 * machine. A host's link L of node I is the bridge port "nodeI.L"; a cable is pulled by setting
 * that port down, hosts are cut off from each other by a table of (from port, to port) in the
 * bridges.
 */

/** lab_net_create: the namespace (held by a process of the lab, the "switch") and the bridges. */
bool lab_net_create(const Lab *lab, GError **error);

/** lab_net_switch_main: the process that holds the namespace. Returns when told to end. */
int lab_net_switch_main(void);

/** lab_net_plug: gives a host its two links (peers "eth0", "eth1"): the one in whose PID namespace
 *  children of the caller are, whose pid 1 is in its network namespace. */
bool lab_net_plug(const Lab *lab, int node, GError **error);

/** lab_net_inside: run by the host itself: addresses, and vmbr0 around eth0. */
bool lab_net_inside(int node, GError **error);

/* A link is up or down by the cable, whatever the power. */
bool lab_net_link_is_up(const Lab *lab, int node, int link);
bool lab_net_set_link(const Lab *lab, int node, int link, bool up, GError **error);

/**
 * lab_net_cut: what ports of hosts in one group send reaches no host of another group; groups are
 * arrays of node numbers. With @one_way only the direction from the first group to the others.
 */
bool lab_net_cut(const Lab *lab, GPtrArray *groups, bool one_way, GError **error);
bool lab_net_heal(const Lab *lab, GError **error); /* all cuts and pulled cables */

/**
 * lab_net_control: Returns: a descriptor for lab_net_ports_down(), bound to the bridges' namespace;
 *   -1 with an error
 */
int lab_net_control(const Lab *lab, GError **error);
void lab_net_ports_down(int control, int node); /* both, at once, whatever the cables */

/* Runs the rest of a scope in another network namespace: of the process @pid. */
typedef struct {
    int saved;
} LabNetScope;
bool lab_net_scope_enter(LabNetScope *scope, pid_t pid, GError **error);
void lab_net_scope_leave(LabNetScope *scope);

pid_t lab_net_switch_pid(const Lab *lab, GError **error);

#!/bin/bash
# Power loss: the guest runs again elsewhere within 10 s, exactly once, no acknowledged data lost.
. "$(dirname "$0")/lib.sh"

ha_says() { on "$1" ha-manager status | grep -q "$2"; } # NODE PATTERN

lab_up 3
guest_create node3 100
on node3 ha-manager add vm:100
within 60 guest_runs_on 100 node3;                       ok "a guest under HA is started on its node"
within 60 ha_says node1 'vm:100 (node3, started)'; ok "and its manager knows"
within 30 guest_beats 100;           ok "and works"
before=$(guest_seq 100)

lab power off node3
within 10 guest_runs_on 100 node1 node2; ok "power loss: it runs elsewhere within 10 s ($took_ms ms)"
within 30 guest_beats 100;               ok "and works again"
[ "$(guest_seq 100)" -ge "$before" ];    ok "what it had written is there"
is "$(lab history --overlaps 100)" "" "it never ran twice"

lab power on node3
within 90 lab_is_whole;                                         ok "the node comes back"
within 20 ha_says node1 'node3 (\(idle\|active\)'; ok "and takes part in HA again"

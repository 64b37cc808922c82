#!/bin/bash
# A host that stands still for a while, and the minority of a cut: short is nothing, long ends its
# guests before others start them.
. "$(dirname "$0")/lib.sh"

ha_says() { on "$1" ha-manager status | grep -q "$2"; } # NODE PATTERN

guest_pid() { lab status --json | jq -r --argjson v "$1" '.guests[] | select(.vmid == $v) | .pid'; }

not_on() { ! guest_runs_on "$@"; }

lab_up 3
guest_create node2 100
on node2 ha-manager add vm:100
within 60 guest_runs_on 100 node2; ok "a guest under HA runs"
within 60 ha_says node1 'vm:100 (node2, started)'; ok "and its manager knows"

pid=$(guest_pid 100)
lab freeze node2; sleep 1; lab thaw node2
sleep 8
is "$(guest_pid 100)" "$pid" "frozen for 1 s: nothing happens to it"

for seconds in 5 12; do
    within 60 lab_is_whole; ok "the cluster is whole before $seconds s"
    lab freeze node2; sleep $seconds; lab thaw node2
    within 30 guest_runs_on 100 node1 node2 node3; ok "frozen for $seconds s: it runs"
    is "$(lab history --overlaps 100)" "" "frozen for $seconds s: it never ran twice"
    within 90 lab_is_whole; ok "frozen for $seconds s: the node is back"
    within 60 guest_runs_on 100 node2 || on node1 ha-manager migrate vm:100 node2
    within 60 guest_runs_on 100 node2; ok "and the guest with it"
done

within 60 lab_is_whole; ok "the cluster is whole before the cut"
lab partition node2 node1,node3
within 8 not_on 100 node2;               ok "cut off: the minority ends it ($took_ms ms)"
within 10 guest_runs_on 100 node1 node3; ok "cut off: the majority starts it"
is "$(lab history --overlaps 100)" "" "cut off: it never ran twice"
lab heal
within 60 lab_is_whole; ok "healed"
is "$(lab history --overlaps 100)" "" "healed: it never ran twice"

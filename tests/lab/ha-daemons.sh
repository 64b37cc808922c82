#!/bin/bash
# Each daemon killed, then stopped, alone: nothing of that ends a guest that need not end, and nothing
# runs twice.
. "$(dirname "$0")/lib.sh"

ha_says() { on "$1" ha-manager status | grep -q "$2"; } # NODE PATTERN

guest_pid() { lab status --json | jq -r --argjson v "$1" '.guests[] | select(.vmid == $v) | .pid'; }

lab_up 3
guest_create node1 100
on node1 ha-manager add vm:100
within 60 guest_runs_on 100 node1; ok "a guest under HA runs"
within 60 ha_says node1 'vm:100 (node1, started)'; ok "and its manager knows"

pid=$(guest_pid 100)
for name in lrmd watchdogd crmd cfsd apid; do
    lab daemon kill node1 $name
    sleep 4
    is "$(guest_pid 100)" "$pid" "$name killed: the guest's process is the same"
done
for name in lrmd crmd watchdogd; do
    lab daemon restart node1 $name
    sleep 6
    is "$(guest_pid 100)" "$pid" "$name restarted: the guest's process is the same"
done
within 20 lab_is_whole; ok "the cluster is whole"

# A stopped local manager cannot promise: the device resets the host after 6 s, and only then does the
# lease of a master there begin to run out (8 s).
lab daemon stop node1 lrmd
within 17 guest_runs_on 100 node2 node3; ok "lrmd stopped: the guest runs elsewhere ($took_ms ms)"
is "$(lab history --overlaps 100)" "" "it never ran twice"

#!/bin/bash
# A host that stands still for a while, and the minority of a cut: short is nothing, long ends its
# guests before others start them.
. "$(dirname "$0")/lib.sh"

ha_says() { on "$1" ha-manager status | grep -q "$2"; } # NODE PATTERN

guest_pid() { lab status --json | jq -r --argjson v "$1" '.guests[] | select(.vmid == $v) | .pid'; }

lab_up 3
guest_create node2 100
on node2 ha-manager add vm:100
within 60 guest_runs_on 100 node2; ok "a guest under HA runs"
within 60 ha_says node1 'vm:100 (node2, started)'; ok "and its manager knows"

pid=$(guest_pid 100)
lab freeze node2; sleep 1; lab thaw node2
sleep 8
is "$(guest_pid 100)" "$pid" "frozen for 1 s: nothing happens to it"

guest_node() { lab status --json | jq -r --argjson v "$1" '.guests[] | select(.vmid == $v) | .node'; }
all_but() { lab_nodes | grep -vx "$1"; }

# Beyond 4 s the device has reset the host, or its guests were ended: others start them.
for seconds in 5 12; do
    within 60 lab_is_whole; ok "the cluster is whole before $seconds s"
    where=$(guest_node 100)
    lab freeze "$where"; sleep $seconds; lab thaw "$where" 2> /dev/null
    # shellcheck disable=SC2046 # a list of names
    within 20 guest_runs_on 100 $(all_but "$where"); ok "frozen for $seconds s: it runs elsewhere"
    is "$(lab history --overlaps 100)" "" "frozen for $seconds s: it never ran twice"
    within 90 lab_is_whole; ok "frozen for $seconds s: the node is back"
done

within 60 ha_says node1 'vm:100 (node[123], started)'; ok "its manager knows"
where=$(guest_node 100)
others=$(all_but "$where")
lab partition "$where" "$(echo "$others" | paste -sd,)"
within 8 guest_is_nowhere 100; ok "cut off: the minority ends it ($took_ms ms)"
# shellcheck disable=SC2086 # a list of names
within 12 guest_runs_on 100 $others; ok "cut off: the majority starts it"
node_is_on "$where"; ok "cut off: the host was not reset"
is "$(lab history --overlaps 100)" "" "cut off: it never ran twice"
lab heal
within 60 lab_is_whole; ok "healed"
is "$(lab history --overlaps 100)" "" "healed: it never ran twice"

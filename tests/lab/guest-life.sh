#!/bin/bash
# A guest's life: made, started, changed, crashed, moved by hand; what must be refused is refused.
. "$(dirname "$0")/lib.sh"

status_is() { [ "$(on "$1" qm status "$2" 2> /dev/null)" = "status: $3" ]; }
refused() { ! said=$("$@" 2>&1); }
starts_elsewhere() { on node1 mv /etc/pve/nodes/node2/qemu-server/100.conf /etc/pve/qemu-server/ && on node1 qm start 100; }

lab_up 2 # each in a gate of its own; two nodes: nothing runs with one lost

# --- made ---------------------------------------------------------------------------------------
guest_create node1 100
is "$(on node1 qm config 100)" "*virtio0: shared:100/vm-100-disk-0.raw,*size=*" "create makes the disk"
refused on node2 qm create 100
is "$said" "*VM 100 already exists on node 'node1'*" "an id is taken in the whole cluster"
refused on node1 qm create 101 --scsi0 nowhere:4
is "$said" "*storage 'nowhere' does not exist*" "an unknown storage is named"
refused on node1 qm create 101 --scsi0 shared:999999999
is "$said" "*scsi0: a size of*" "a size that cannot be is refused"
refused on node1 qm create 101 --net0 virtio=01:00:00:00:00:01
is "$said" "*net0:*" "a group's address is refused"
refused on node1 qm config 101
is "$said" "*does not exist*" "nothing is left of what was refused"

# --- runs ---------------------------------------------------------------------------------------
on node1 qm start 100;         ok "start"
within 30 guest_beats 100;     ok "it works"
refused on node1 qm start 100
is "$said" "*VM 100 already running*" "a second start is refused"
refused on node1 qm destroy 100
is "$said" "*is running*" "a running guest is not destroyed"
on node1 qm set 100 --cores 2
is "$(on node1 qm pending 100)" "*new cores: 2*" "what QEMU cannot take waits"
for daemon in cfsd lrmd crmd apid; do lab daemon kill node1 "$daemon"; done
within 20 status_is node1 100 running; ok "it outlives every daemon"
within 20 on node1 qm set 100 --name web; ok "and is found again"

# --- moved by hand, crashed ---------------------------------------------------------------------
on node2 mv /etc/pve/nodes/node1/qemu-server/100.conf /etc/pve/qemu-server/; ok "its configuration is moved while it runs"
refused on node2 qm start 100
is "$said" "*may still run on node 'node1'*qm recover*" "it is not started beside itself"
refused on node2 qm recover 100 --node-is-off node1
is "$said" "*is a member of the cluster right now*" "a node that is heard is not off"
# shellcheck disable=SC2016 # for the host's shell
on node1 bash -c 'kill -9 $(cat /run/qemu-server/100.pid)'
within 10 on node2 qm start 100; ok "after its crash the record is cleared, it starts there"
within 10 status_is node2 100 running; ok "and runs there"
is "$(on node2 qm config 100)" "*cores: 2*" "with what had waited"

# --- stopped, started again ---------------------------------------------------------------------
on node2 qm stop 100;               ok "stop"
within 5 starts_elsewhere;          ok "moved back and started at once: nothing is left on the other node"
on node1 qm stop 100
on node1 qm set 100 --args '-device nonsense'
refused on node1 qm start 100
is "$said" "*nonsense*" "a failed start says why, in QEMU's words"
on node1 qm set 100 --delete args;  ok "and leaves the guest as it was"
on node1 qm set 100 --protection 1
refused on node1 qm destroy 100
is "$said" "*protection mode enabled*" "protection protects"
on node1 qm set 100 --protection 0
on node1 qm destroy 100;            ok "destroy"
is "$(on node1 pvesm list shared --vmid 100)" "Volid*VMID" "its disk goes with it"
is "$(lab history --overlaps 100)" "" "it never ran twice"

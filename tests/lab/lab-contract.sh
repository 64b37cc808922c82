#!/bin/bash
# The lab itself: every line of its contract, on hosts without a cluster.
LAB_NAME=${LAB_NAME:-lc$$}
. "$(dirname "$0")/lib.sh"
export QUORATE_LAB_DIR=${QUORATE_LAB_DIR:-/var/lib/quorate-lab}
helper=$(cd "$(dirname "$0")" && pwd)/lab-helper.py

# --- refusals -----------------------------------------------------------------------------------
[ "$(id -u)" = 0 ] || lab_skip "a lab needs root"
is "$(setpriv --reuid 65534 --clear-groups "$QUORATE_LAB" --lab refused up 2>&1; echo " $?")" "*run it as root* 1" "refuses another user than root"
is "$(unshare -m sh -c "mount -t tmpfs none /dev; $QUORATE_LAB --lab refused up --no-cluster" 2>&1; echo " $?")" "*/dev/fuse* 1" "refuses without FUSE"
tools=$(mktemp -d); ln -s "$(command -v ip)" "$(command -v nft)" "$tools"
is "$(PATH=$tools "$QUORATE_LAB" --lab refused up 2>&1; echo " $?")" "*'corosync'*apt-get install corosync* 1" "refuses without corosync, says what to install"
rm -r "$tools"
is "$(unshare -m sh -c "umount /sys/fs/cgroup/unified || umount -l /sys/fs/cgroup; $QUORATE_LAB --lab refused up --no-cluster" 2>&1; echo " $?")" "*cgroup2* 1" "refuses without cgroup2"
is "$(QUORATE_LAB_DIR=/run/labs "$QUORATE_LAB" --lab refused up 2>&1; echo " $?")" "*QUORATE_LAB_DIR* 255" "refuses a folder that hosts cover"
is "$("$QUORATE_LAB" --lab name-of-13-xx up 2>&1; echo " $?")" "*at most 12* 255" "refuses a name that is too long"
is "$(lab up --nodes 33 2>&1; echo " $?")" "*--nodes* 255" "refuses more hosts than 32"
is "$(lab up --storage ceph 2>&1; echo " $?")" "*'ceph'* 1" "refuses storages that it does not have"
is "$(lab status 2>&1; echo " $?")" "*there is no lab* 1" "says that there is no lab"
is "$(lab exec node1 -- true 2>&1; echo " $?")" "*there is no lab* 125" "exec says it with 125"
is "$(lab nonsense 2>&1; echo " $?")" "*no word* 255" "refuses unknown words"
[ ! -e "$QUORATE_LAB_DIR/refused" ]; ok "a refused lab leaves nothing"

# --- up -----------------------------------------------------------------------------------------
lab_up 3 --no-cluster --boot-delay 1 --profile steady
is "$(lab up --no-cluster 2>&1; echo " $?")" "*is there already* 1" "a lab is brought up once"
status=$(lab status --json)
same "$(jq -c '[.lab, .profile, (.nodes | map(.node, .power, .frozen, .links)), .guests]' <<< "$status")" \
    "[\"$LAB_NAME\",\"steady\",[\"node1\",\"on\",false,[\"up\",\"up\"],\"node2\",\"on\",false,[\"up\",\"up\"],\"node3\",\"on\",false,[\"up\",\"up\"]],[]]" "status --json"
pid1() { lab status --json | jq -r --arg n "$1" '.nodes[] | select(.node == $n) | .pid'; }
root() { echo "/proc/$(pid1 "$1")/root"; } # of the host, seen from the machine
pid=$(pid1 node1) other=$(pid1 node2) same=
for ns in pid mnt net uts ipc cgroup; do
    [ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ] &&
        [ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/$other/ns/$ns")" ] || same="$same $ns"
done
is "$same" "" "each host has namespaces of its own"
is "$(on node2 hostname) $(on node2 cat /etc/hostname) $(on node2 getent hosts node3)" "node2 node2 10.77.0.3 *node3*" "hosts know their names"
is "$(on node3 sh -c 'ip -br -4 addr show vmbr0; ip -br -4 addr show eth1; bridge link show dev eth0')" "*10.77.0.3/24*10.77.1.3/24*master vmbr0*" "addresses, and eth0 is a port of vmbr0"

# --- exec ---------------------------------------------------------------------------------------
is "$(echo in | lab exec node1 -- sh -c 'cat; echo err >&2; exit 7' 2>&1; echo " $?")" $'in\nerr\n 7' "exec passes streams and status"
is "$(on node1 sh -c 'kill -9 $$' 2>&1; echo "$?")" "137" "exec: a killed command's status"
is "$(on node1 no-such-command 2>&1; echo " $?")" "*no-such-command* 127" "exec: an unknown command's status"
is "$(on node9 true 2>&1; echo " $?")" "*node9* 125" "exec: an unknown host"
is "$(on node1 sh -c 'command -v fence_quorate_lab')" "$QUORATE_BUILD/fence_quorate_lab" "exec: the build folder is first in PATH"
before=$(now_ms); timeout 1 "$QUORATE_LAB" --lab "$LAB_NAME" exec node1 -- sleep 4711
[ $(($(now_ms) - before)) -lt 3000 ] && ! on node1 pgrep -f 'sleep 4711' > /dev/null; ok "exec: a signal ends the command inside too"
echo "printf '%s ' \$0; hostname" | lab shell node2 2> /dev/null | grep -q 'bash node2'; ok "shell"
is "$(on node1 sh -c 'echo x > /dev/shm/x; touch /run/x /var/lib/corosync/x /etc/pve-test 2>&1; ls /run/x /dev/shm/x'; rm -f /etc/pve-test; ls /run/x 2>&1)" "*/dev/shm/x*/run/x*cannot access*" "what is the host's own is not the machine's"
password=$(lab password)
is "$(on node2 python3 -W ignore -c 'import crypt,sys; h=[l for l in open("/etc/shadow") if l.startswith("root:")][0].split(":")[1]; print(h[:3], crypt.crypt(sys.argv[1],h)==h)' "$password")" "\$6\$ True" "password is root's in every host"
is "$(on node1 sh -c 'getent passwd quorate-proxy; getent group www-data; cat /etc/quorate/quorate.conf')" "quorate-proxy:*www-data:*device=/run/lab/watchdog*" "users and settings of a node"
is "$(on node1 python3 "$helper" direct /mnt/shared/direct; on node3 ls /mnt/shared)" "ok*direct*" "shared storage is shared and takes O_DIRECT"

# --- power --------------------------------------------------------------------------------------
for path in /etc/pve-x /etc/corosync/x /etc/quorate/x /var/lib/quorate/x /var/lib/vz/x /var/log/x /etc/pam.d/x; do
    [ "$path" = /etc/pve-x ] || on node2 sh -c "echo kept > $path"
done
on node2 sh -c 'echo gone | tee /run/x /dev/shm/x > /var/lib/corosync/x'
boot=$(on node2 sh -c 'cut -d" " -f22 /proc/1/stat')
lab power off node2; ok "power off"
is "$(ls -d "/proc/$other" 2>&1)" "*cannot access*" "power off: pid 1 is dead when the command returns"
is "$(on node2 true 2>&1; echo " $?")" "*node2 is off* 125" "exec: a host that is off"
same "$(lab status --json | jq -c '.nodes[1] | [.power, .pid, .links]')" '["off",null,["down","down"]]' "status of a host that is off"
lab power off node2; ok "power off of what is off"
lab power on node2; ok "power on"
is "$(on node2 sh -c 'cat /etc/corosync/x /etc/quorate/x /var/lib/quorate/x /var/lib/vz/x /var/log/x /etc/pam.d/x | uniq -c')" "*6 kept" "what is on disk is kept"
is "$(on node2 sh -c 'ls /run/x /dev/shm/x /var/lib/corosync/x' 2> /dev/null)" "" "what is in memory is gone"
isnt "$(on node2 sh -c 'cut -d" " -f22 /proc/1/stat')" "$boot" "another boot has another pid 1"
lab power reset node2; node_is_off node2; ok "power reset: off at once"
within 8 node_is_on node2; ok "and on again after the boot delay"
[ "$took_ms" -gt 400 ] && [ "$took_ms" -lt 6000 ]; ok "not at once ($took_ms ms)"
lab shutdown node3 && node_is_off node3; ok "shutdown"
sleep 1.5; node_is_off node3; ok "it stays off"
is "$(lab shutdown node3 2>&1; echo " $?")" "*is off* 1" "shutdown of what is off"
lab power on node3
lab reboot node3; within 15 node_is_on node3; ok "reboot"
on node3 python3 "$helper" reboot; within 15 node_is_off node3; ok "reboot(2) inside a host ends it"
within 15 node_is_on node3; ok "and boots it again"
node3=$(pid1 node3); kill -9 "$node3"; within 5 node_is_off node3; ok "a host whose pid 1 dies is off"
lab power on node3; ok "and can be switched on"

# --- links --------------------------------------------------------------------------------------
reach() { "$QUORATE_LAB" --lab "$LAB_NAME" exec "$1" -- busybox ping -c 1 -W 1 -w 1 "$2" > /dev/null; }
hears() { python3 "$helper" hears "$QUORATE_LAB" "$LAB_NAME" "$@"; } # FROM TO ADDRESS-OF-TO
within 3 reach node1 10.77.0.3 && reach node1 10.77.1.2; ok "both links carry"
lab link down node1 1; ! reach node1 10.77.1.2 && reach node1 10.77.0.2; ok "link down of one link"
same "$(lab status --json | jq -c '.nodes[0].links')" '["up","down"]' "status shows it"
lab power off node1; lab power on node1
! reach node1 10.77.1.2 && reach node1 10.77.0.2; ok "a pulled cable stays so over a boot"
lab link up node1; within 3 reach node1 10.77.1.2; ok "link up"
lab link down node1; ! reach node1 10.77.0.2; ok "link down of both"
lab heal; within 3 reach node1 10.77.0.2; ok "heal plugs cables in"
lab partition node1,node2 node3
reach node1 10.77.0.2 && ! reach node1 10.77.0.3 && ! reach node2 10.77.1.3; ok "partition cuts on both links, and only between groups"
reach node3 10.77.0.254; ok "the servers' address is reached from both sides"
lab heal; within 3 reach node1 10.77.0.3; ok "heal ends it"
lab partition --one-way node1 node2,node3
is "$(hears node1 node2 10.77.0.2) $(hears node2 node1 10.77.0.1) $(hears node3 node1 10.77.1.1) $(hears node2 node3 10.77.0.3)" "no yes yes yes" "partition --one-way: what the first sends does not arrive, the rest does"
lab heal
is "$(lab partition node1 node1 2>&1; echo " $?")" "*twice* 255" "refuses a host in two groups"

# --- freeze and watchdog ------------------------------------------------------------------------
on node1 sh -c 'while :; do date +%s%N > /run/tick; sleep 0.05; done < /dev/null > /dev/null 2>&1 &'
within 2 on node1 test -s /run/tick
lab freeze node1
tick=$(cat "$(root node1)/run/tick"); sleep 0.5
is "$(cat "$(root node1)/run/tick")" "$tick" "freeze stops every process"
is "$(on node1 true 2>&1; echo " $?")" "*node1 is frozen* 125" "exec: a frozen host"
same "$(lab status --json | jq -c '.nodes[0] | [.power, .frozen]')" '["on",true]' "status of a frozen host"
lab thaw node1
sleep 0.3; isnt "$(on node1 cat /run/tick)" "$tick" "thaw lets them go on"
on node1 sh -c 'for d in quorate-lrmd quorate-crmd quorate-watchdogd; do python3 "$0" stop $d; done' "$helper" > /dev/null 2>&1
is "$(on node1 python3 "$helper" watchdog-words)" "T 60 * running;T 3 * fed;T 3 * fed;T 3 * bad kept;busy;T 3 -1 closed;T 2 * runs on" "the watchdog's words"
lab freeze node1; within 4 node_is_off node1; ok "left without V it runs on, a frozen host or not, and resets"
within 8 node_is_on node1; ok "and the host boots again"
is "$(on node1 true; echo $?)" 0 "not frozen"

# --- daemons ------------------------------------------------------------------------------------
daemon=watchdogd
if [ -x "$QUORATE_BUILD/quorate-$daemon" ]; then
    first=$(daemon_pid node1 quorate-$daemon)
    lab daemon kill node1 $daemon
    other_pid() { local now; now=$(daemon_pid node1 quorate-$daemon) && [ "$now" != "$1" ]; }
    within 2 other_pid "$first"; ok "daemon kill: the supervisor starts it again ($took_ms ms)"
    lab daemon stop node1 $daemon
    state() { on node1 sh -c 'cut -d" " -f3 /proc/$0/stat' "$(daemon_pid node1 quorate-$daemon)"; }
    is "$(state)" "T" "daemon stop: it stands still"
    lab daemon start node1 $daemon; is "$(state)" "[SR]" "daemon start: it goes on"
    second=$(daemon_pid node1 quorate-$daemon)
    lab daemon restart node1 $daemon; within 2 other_pid "$second"; ok "daemon restart"
    is "$(on node1 python3 "$helper" init "stop quorate-$daemon" "state quorate-$daemon" "start quorate-$daemon" "state quorate-$daemon" "state nothing")" \
        "ok stopped;ok stopped;ok running;ok running;error *" "the supervisor's socket"
fi
is "$(lab daemon kill node1 nonsense 2>&1; echo " $?")" "*cfsd* 255" "daemon: an unknown name"
is "$(lab daemon kill node1 corosync 2>&1; echo " $?")" "*corosync does not run* 1" "daemon kill of what does not run"

# --- guests and history -------------------------------------------------------------------------
guest() { # NODE VMID [options]: as the product starts them, but without it
    local node=$1 vmid=$2; shift 2
    on "$node" qemu-system-x86_64 -name "guest=g$vmid,debug-threads=on" -pidfile "/var/run/qemu-server/$vmid.pid" \
        -daemonize -m 64 -display none -nodefaults "$@"
}
guest node1 900; guest node2 901 -S
same "$(lab history --json 900 | jq -c '.[0] | [.vmid, .node, .how, .end_ms, .end]')" '[900,"node1","started",null,null]' "history of a guest that lives"
same "$(lab status --json | jq -c '.guests | map([.vmid, .node]) | sort')" '[[900,"node1"],[901,"node2"]]' "status shows guests"
is "$(readlink "/proc/$(lab history --json 900 | jq '.[0].pid')/exe")" "*qemu-system*" "by the machine's pid"
sleep 0.5
same "$(lab history --json | jq -c 'map([.vmid, (.cont_ms != null)]) | sort')" '[[900,true],[901,false]]' "it sees whether vCPUs run"
on node2 sh -c 'kill $(cat /var/run/qemu-server/901.pid)'; lab power off node1; guest node3 900; on node3 sh -c 'kill -9 $(cat /var/run/qemu-server/900.pid)'
sleep 0.4
same "$(lab history --json | jq -c 'map([.vmid, .node, .end]) | sort')" '[[900,"node1","power"],[900,"node3","killed"],[901,"node2","exit"]]' "it sees how they ended"
lab history --overlaps > /dev/null; ok "no overlaps yet"
same "$(lab history --json 900 | jq -c '.[0].end_ms <= .[1].start_ms and .[0].start_ms < .[0].end_ms')" true "times are in order"
guest node2 902; guest node3 902
is "$(lab history --overlaps 902; echo " $?")" "*902*node2*902*node3* 1" "two processes of one guest are an overlap"
same "$(lab history --overlaps --json 902 | jq -c '.[0] | map(.node)')" '["node2","node3"]' "as JSON"
is "$(lab history --overlaps 900; echo "$?")" "0" "of that guest alone"
guest node2 903; guest node3 903 -S -incoming tcp:10.77.0.3:6000; sleep 0.6
is "$(lab history --overlaps 903; echo "$?")" "0" "a migration's target that waits is none"
lab power on node1

# --- power device, ports, a second lab ----------------------------------------------------------
fence() { printf '%s\n' "ip=10.77.0.254" "password=$secret" "$@" | lab exec node3 -- fence_quorate_lab > /dev/null 2>&1; echo $?; }
secret=$(sed -n 's/^bmc_secret=//p' "$QUORATE_LAB_DIR/$LAB_NAME/lab.conf")
is "$(fence plug=node2 action=status) $(fence plug=node2 action=off) $(fence plug=node2 action=status) $(fence plug=node2 action=on) $(fence plug=node2 action=status)" "0 0 2 0 0" "the fence agent: status, off, status, on, status"
node_is_on node2; ok "it did what it said"
is "$(fence plug=node7 action=status) $(secret=wrong; fence plug=node2 action=off) $(fence action=monitor) $(fence action=list) $(on node3 fence_quorate_lab -o metadata | grep -c resource-agent)" "1 1 0 0 2" "the fence agent: unknown plug, wrong password, monitor, list, metadata"
url=$(lab url node2)
is "$url" "https://127.0.0.1:[0-9]*/" "url"
if [ -x "$QUORATE_BUILD/quorate-proxyd" ]; then
    answers() { [[ $(curl -ks -m 3 -o /dev/null -w '%{http_code}' "${url}api2/json/version") == [24]0[01] ]]; }
    within 10 answers; ok "it leads to the host's port 8006"
fi
"$QUORATE_LAB" --lab "${LAB_NAME}b" up --nodes 1 --no-cluster > /dev/null; ok "a second lab beside the first"
is "$("$QUORATE_LAB" --lab "${LAB_NAME}b" exec node1 -- hostname) $("$QUORATE_LAB" --lab "${LAB_NAME}b" exec node1 -- busybox ping -c 1 -W 1 10.77.0.2 > /dev/null; echo $?)" "node1 1" "they do not see each other"

# --- what is left -------------------------------------------------------------------------------
second=$(cat "$QUORATE_LAB_DIR/${LAB_NAME}b/hardware.pid"); kill -9 "${second%% *}"
is "$("$QUORATE_LAB" --lab "${LAB_NAME}b" status) $("$QUORATE_LAB" --lab "${LAB_NAME}b" exec node1 -- hostname)" "*hardware process is gone*on*node1" "the hardware's death ends nothing else, and is said"
is "$("$QUORATE_LAB" --lab "${LAB_NAME}b" power off node1 2>&1; echo " $?")" "*hardware process*gone* 1" "what needs it says so"
truncate -s 1M "$QUORATE_LAB_DIR/${LAB_NAME}b/shared/disk"
loop=$(losetup -f --show "$QUORATE_LAB_DIR/${LAB_NAME}b/shared/disk" 2> /dev/null)
if [ -n "$loop" ]; then
    is "$("$QUORATE_LAB" --lab "${LAB_NAME}b" down 2>&1; echo " $?")" "*left behind*$loop* 1" "down names what a test left, and fails"
    same "$(losetup -l -n -O NAME | grep -x "$loop")" "" "and removes it"
else
    "$QUORATE_LAB" --lab "${LAB_NAME}b" down
fi
[ ! -e "$QUORATE_LAB_DIR/${LAB_NAME}b" ]; ok "nothing of the second lab is left"
is "$("$QUORATE_LAB" --lab "${LAB_NAME}b" down 2>&1; echo " $?")" "*there is no lab* 1" "down of what is not there"
pids=$(lab status --json | jq -r '.nodes[].pid')
lab down; ok "down"
is "$(for p in $pids; do ls -d "/proc/$p" 2> /dev/null; done; ls -d "$QUORATE_LAB_DIR/$LAB_NAME" /sys/fs/cgroup/quorate-lab."$LAB_NAME".* /sys/fs/cgroup/unified/quorate-lab."$LAB_NAME".* 2> /dev/null)" "" "nothing is left of the lab"

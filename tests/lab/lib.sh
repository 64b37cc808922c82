# The vocabulary of lab tests: an administrator's words on a lab of one's own, TAP out.
#
#   . "$(dirname "$0")/lib.sh"
#   lab_up 3                        a cluster; more words go to `quorate-lab up`
#   on node1 qm status 100          a command inside a host
#   lab power off node3             any word of quorate-lab
#   within 10 guest_runs_on 100 node1 node2
#   ok "what was just done"         the last command's status (`within`, `lab`, `on`, `[ … ]`) as a test
#   is "$(…)" "*pattern*" "what it should be"; same: to the letter; isnt: anything but
#
# The build folder is $QUORATE_BUILD, default ../../build. A skipped test says why and exits 77.
# The lab goes with the test, also when it is interrupted; KEEP=1 leaves it.

QUORATE_BUILD=${QUORATE_BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build}
QUORATE_LAB=$QUORATE_BUILD/quorate-lab
LAB_NAME=${LAB_NAME:-t$$}
lab_tests=0 lab_failed=0 lab_is_up=

lab() { "$QUORATE_LAB" --lab "$LAB_NAME" "$@"; }
on() { local node=$1; shift; lab exec "$node" -- "$@" < /dev/null; }

# lab_skip WHY: the machine cannot do it.
lab_skip() { echo "1..0 # SKIP $1"; exit 77; }

lab_result() { # STATUS NAME
    lab_tests=$((lab_tests + 1))
    if [ "$1" = 0 ]; then
        echo "ok $lab_tests - $2"
    else
        lab_failed=$((lab_failed + 1))
        echo "not ok $lab_tests - $2"
    fi
    return "$1"
}

ok() { lab_result $? "$1"; }

# is GOT PATTERN NAME
is() {
    # shellcheck disable=SC2053 # a pattern
    [[ $1 == $2 ]]
    lab_result $? "$3" || { echo "#   got:      ${1//$'\n'/$'\n#             '}"; echo "#   expected: $2"; return 1; }
}

# same GOT TEXT NAME: to the letter
same() {
    [ "$1" = "$2" ]
    lab_result $? "$3" || { echo "#   got:      ${1//$'\n'/$'\n#             '}"; echo "#   expected: $2"; return 1; }
}

# isnt GOT PATTERN NAME
isnt() {
    # shellcheck disable=SC2053
    [[ $1 != $2 ]]
    lab_result $? "$3" || { echo "#   got: ${1//$'\n'/$'\n#        '}"; return 1; }
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# within SECONDS COMMAND…: until it succeeds. took_ms says how long that was.
within() {
    local limit=$1 start; shift
    start=$(now_ms)
    while :; do
        if "$@" > /dev/null 2>&1; then
            took_ms=$(($(now_ms) - start))
            return 0
        fi
        took_ms=$(($(now_ms) - start))
        [ "$took_ms" -lt $((limit * 1000)) ] || { echo "# not within $limit s: $*"; return 1; }
        sleep 0.05
    done
}

# during SECONDS COMMAND…: succeeds all the time.
during() {
    local end=$(($(now_ms) + $1 * 1000)); shift
    while [ "$(now_ms)" -lt "$end" ]; do
        "$@" > /dev/null 2>&1 || { echo "# not all the time: $*"; return 1; }
        sleep 0.1
    done
}

# --- the lab ------------------------------------------------------------------------------------

lab_up() { # NODES [options of up]
    local nodes=$1; shift
    [ "$(id -u)" = 0 ] || lab_skip "a lab needs root"
    [ -x "$QUORATE_LAB" ] || { echo "Bail out! there is no $QUORATE_LAB: make"; exit 1; }
    trap lab_end EXIT
    trap 'exit 130' INT TERM HUP
    lab_is_up=1
    if ! lab up --nodes "$nodes" "$@" > "/tmp/lab-$LAB_NAME.up" 2>&1; then
        sed 's/^/# /' "/tmp/lab-$LAB_NAME.up"
        lab_result 1 "the lab is up"
        exit 1
    fi
}

lab_end() {
    local status=$?
    rm -f "/tmp/lab-$LAB_NAME.up"
    if [ -n "$lab_is_up" ]; then
        if [ "$lab_failed" != 0 ] || { [ "$status" != 0 ] && [ "$status" != 77 ]; }; then
            lab_logs
        fi
        if [ -n "${KEEP:-}" ]; then
            echo "# the lab is left: quorate-lab --lab $LAB_NAME down"
        else
            lab down > "/tmp/lab-$LAB_NAME.down" 2>&1 || {
                # A test may have taken it down itself.
                grep -q 'there is no lab' "/tmp/lab-$LAB_NAME.down" ||
                    { lab_result 1 "nothing is left behind"; sed 's/^/# /' "/tmp/lab-$LAB_NAME.down"; }
            }
            rm -f "/tmp/lab-$LAB_NAME.down"
        fi
    fi
    [ "$status" = 77 ] && exit 77
    echo "1..$lab_tests"
    # 1 is the status of a last test that failed, or of nothing at all.
    [ "$status" -le 1 ] || { echo "# the test itself ended with status $status"; exit "$status"; }
    [ "$lab_failed" = 0 ] && [ "$lab_tests" -gt 0 ]
    exit $? # without a number it would be the status from before the trap
}

# The last lines of every log, for the one who must find out why.
lab_logs() {
    local dir=${QUORATE_LAB_DIR:-/var/lib/quorate-lab}/$LAB_NAME log
    for log in "$dir"/hardware.log "$dir"/nodes/*/disk/var-log/quorate/*.log; do
        [ -s "$log" ] || continue
        echo "# --- ${log#"$dir"/}"
        tail -n "${LAB_LOG_LINES:-15}" "$log" | sed 's/^/# /'
    done
}

lab_nodes() { lab status --json | jq -r '.nodes[].node'; }
node_is_on() { [ "$(lab status --json | jq -r --arg n "$1" '.nodes[] | select(.node == $n) | .power')" = on ]; }
node_is_off() { ! node_is_on "$1"; }
node_is_quorate() { [ "$(lab status --json | jq -r --arg n "$1" '.nodes[] | select(.node == $n) | .quorate')" = true ]; }
lab_is_whole() { [ "$(lab status --json | jq '[.nodes[] | select(.member and .quorate)] | length == ($ARGS.positional[0] | tonumber)' --args "$(lab_nodes | wc -l)")" = true ]; }
lab_master() { lab status --json | jq -r '.nodes[] | select(.master) | .node'; }

# daemon_pid NODE NAME: as the host sees it; NAME as ps shows it, cut to 15 characters.
daemon_pid() { on "$1" pgrep -o -x "${2:0:15}"; }

# --- guests -------------------------------------------------------------------------------------

guest_address() { echo "10.77.0.$((100 + $1))"; } # guests 100 to 153: .200 to .253

# guest_boot [VMID] [more words of the kernel line]: the value of `args:`
guest_boot() {
    local vmid=${1:-100} folder; [ $# = 0 ] || shift
    folder=$(lab guest-image) || return
    echo "-kernel $folder/vmlinuz -initrd $folder/initrd.img -append \"console=ttyS0 quiet hb=/dev/vda ip=$(guest_address "$vmid")/24${*:+ $*}\""
}

# guest_create NODE VMID [more options of qm create]: one that beats, on shared storage
guest_create() {
    local node=$1 vmid=$2; shift 2
    on "$node" qm create "$vmid" --name "guest$vmid" --memory 128 --cpu Nehalem --serial0 socket \
        --virtio0 shared:1,cache=none --net0 virtio,bridge=vmbr0 --args "$(guest_boot "$vmid")" "$@"
}

# guest_runs_on VMID NODE…: its process is on one of these, and nowhere else
guest_runs_on() {
    local vmid=$1 where; shift
    where=$(lab status --json | jq -r --argjson v "$vmid" '.guests[] | select(.vmid == $v) | .node')
    [ -n "$where" ] && [[ " $* " == *" $where "* ]]
}
guest_is_nowhere() { [ -z "$(lab status --json | jq -r --argjson v "$1" '.guests[] | select(.vmid == $v) | .node')" ]; }

# guest_ask VMID PORT [LINE]: one line of the guest's answer, asked from any host that lives
guest_ask() {
    local vmid=$1 port=$2 node
    for node in $(lab status --json | jq -r '.nodes[] | select(.power == "on" and (.frozen | not) and .links[0] == "up") | .node'); do
        on "$node" timeout 3 bash -c \
            'exec 3<> "/dev/tcp/$0/$1" && { [ -z "$2" ] || echo "$2" >&3; } && IFS= read -r line <&3 && echo "$line"' \
            "$(guest_address "$vmid")" "$port" "${3:-}" 2> /dev/null && return
    done
    return 1
}

guest_beats() { guest_ask "$1" 7000 > /dev/null; }
guest_seq() { guest_ask "$1" 7000 | sed -n 's/.*seq=\([0-9]*\).*/\1/p'; } # newest beat on its disk
guest_boot_id() { guest_ask "$1" 7000 | sed -n 's/.*boot=\([^ ]*\).*/\1/p'; }

# guest_write VMID TEXT: acknowledged by the guest when it is on its disk; guest_read gives it back.
guest_write() {
    within 30 guest_beats "$1" > /dev/null || return
    [ "$(guest_ask "$1" 7001 "put $2")" = ok ]
}
guest_read() {
    within 30 guest_beats "$1" > /dev/null || return
    guest_ask "$1" 7001 get
}

#!/bin/bash
# A join that is killed at any step leaves a cluster of one that can be written to, and is undone on
# both sides by `pvecm add --abort` or by the next `pvecm add`.
. "$(dirname "$0")/lib.sh"
lab_up 2 --no-cluster

add() { on node2 pvecm add 10.77.0.1 --token "$(on node1 pvecm token)" --link0 10.77.0.2 --link1 10.77.1.2 2>&1; }
conf() { on node1 sed '/config_version/d' /etc/pve/corosync.conf; }
here() { on node2 sh -c 'cat /etc/pve/mark; ls -A /etc/corosync; ls /var/lib/quorate/join.json /etc/pve/corosync.conf 2> /dev/null; ls /etc/pve/nodes'; }

# Starts a join and kills it the moment its record names the step.
kill_at() { # STEP
    local token
    token=$(on node1 pvecm token)
    on node2 bash -c '
        pvecm add 10.77.0.1 --token "$1" --link0 10.77.0.2 --link1 10.77.1.2 > /tmp/kill-join.$$ 2>&1 & pid=$!
        rm -f /tmp/kill-join.$$
        while kill -0 $pid 2> /dev/null; do
            if grep -q "\"$2\"" /var/lib/quorate/join.json 2> /dev/null; then
                kill -9 $pid; wait $pid 2> /dev/null; exit 0
            fi
        done
        exit 1' bash "$token" "$1" 2> /dev/null
}

on node2 sh -c 'echo old > /etc/pve/mark'
on node1 pvecm create lab --link0 10.77.0.1 --link1 10.77.1.1 > /dev/null 2>&1
ok "a cluster of one"
before=$(conf) mine=$(here)

for step in request files database; do
    kill_at $step
    ok "killed at step $step"
    on node1 sh -c "echo $step > /etc/pve/written"
    ok "the cluster of one takes changes"
    on node2 pvecm add --abort > /dev/null 2>&1
    ok "the join is aborted"
    within 20 eval '[ "$(here)" = "$mine" ]'
    ok "the new node is as it was" || here
    within 5 eval '[ "$(conf)" = "$before" ]'
    ok "the cluster is as it was" || conf
    is "$(on node2 pvecm add --abort 2>&1)" "there is no interrupted join on this node" "nothing is left to abort"
done

kill_at database
ok "killed once more"
lab power off node2
on node1 sh -c "echo off > /etc/pve/written"
ok "the cluster of one takes changes while the new node is off"
lab power on node2
within 30 on node2 true
on node2 pvecm add --abort > /dev/null 2>&1
ok "after a power cut the join is aborted"
within 20 eval '[ "$(here)" = "$mine" ]'
ok "the new node is as it was" || here
within 5 eval '[ "$(conf)" = "$before" ]'
ok "the cluster is as it was"

kill_at database
lab link down node1
is "$(on node2 pvecm add --abort 2>&1)" "*ends by itself within 10 minutes*" "without contact the new node still gets back"
is "$(here)" "$mine" "as it was"
lab link up node1
on node1 pvecm delnode node2 > /dev/null 2>&1
ok "the entry that was left can be taken out by hand"

kill_at files
is "$(add)" "*undoing an interrupted join*successfully added node 'node2' to cluster." "a new add cleans up and joins"
is "$(on node2 cat /etc/pve/written)" off "with the cluster's tree"

kill_vote() { on node1 pvecm status | grep -q 'Total votes: *2'; }
within 10 kill_vote
ok "two votes"

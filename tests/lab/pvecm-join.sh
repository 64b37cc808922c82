#!/bin/bash
# A cluster is formed and joined by token and by password; what is wrong is refused and changes
# nothing; two join at once; a node leaves for good and comes again by the same name.
. "$(dirname "$0")/lib.sh"
lab_up 4 --no-cluster

links() { echo "--link0 10.77.0.${1#node} --link1 10.77.1.${1#node}"; }
fingerprint() { on node1 sh -c "openssl x509 -noout -fingerprint -sha256 -in /etc/pve/nodes/node1/pve-ssl.pem | cut -d= -f2"; }
add_by_token() { # NODE [TOKEN]
    # shellcheck disable=SC2046
    on "$1" pvecm add 10.77.0.1 --token "${2:-$(on node1 pvecm token)}" $(links "$1") 2>&1
}
add_by_password() { # NODE PASSWORD FINGERPRINT
    # shellcheck disable=SC2046
    echo "$2" | lab exec "$1" -- pvecm add 10.77.0.1 --fingerprint "$3" $(links "$1") 2>&1
}
conf() { on "$1" sed '/config_version/d' /etc/pve/corosync.conf 2>&1; }
untouched() { on "$1" sh -c 'ls -A /etc/corosync; ls /etc/pve/corosync.conf /var/lib/quorate/join.json 2> /dev/null; ls /etc/pve/nodes'; }
votes() { on "$1" pvecm status | sed -n 's/^Total votes: *//p'; }

# --- create ------------------------------------------------------------------------------------
is "$(on node1 pvecm status 2>&1)" "*is this node part of a cluster?" "a node alone says so"
is "$(on node1 pvecm create 'bad name' 2>&1)" "*clustername*" "a bad cluster name is refused"
is "$(on node1 pvecm create lab --link0 10.77.0.9 2>&1)" "*cannot use IP '10.77.0.9', not found on local node!*" "a link that is not ours is refused"
is "$(untouched node1)" node1 "nothing was changed"
on node1 touch /etc/pve/before
on node1 pvecm create lab --link0 10.77.0.1 --link1 10.77.1.1 > /dev/null 2>&1
ok "a cluster is formed"
is "$(on node1 ls /etc/pve/before)" /etc/pve/before "the tree is kept"
is "$(on node1 pvecm create lab 2>&1)" "cluster config '/etc/pve/corosync.conf' already exists" "not twice"
is "$(on node1 pvecm status)" "*Quorate:          Yes*" "it is quorate"
# shellcheck disable=SC2016
is "$(on node1 bash -c 'diff <(corosync-quorumtool -siH | grep -v ^Date) <(pvecm status | sed 1,7d | grep -v ^Date)')" "" "the status is what corosync-quorumtool prints, byte for byte"

# --- refusals ----------------------------------------------------------------------------------
before=$(conf node1) print=$(fingerprint) password=$(lab password)
is "$(add_by_password node2 "not $password" "$print")" "*authentication failure*" "a wrong password is refused"
is "$(add_by_password node2 "$password" "00${print:2}")" "*shows another certificate than expected*" "so is a wrong fingerprint"
is "$(add_by_token node2 "10.77.0.1#$print#$(printf %064d 1)")" "*unknown, used or over*" "and a token that nobody made"
is "$(on node2 pvecm add 10.77.0.1 --token "$(on node1 pvecm token)" --link0 10.77.0.2 2>&1)" "*link 1 exists in cluster config but wasn't specified for new node*" "and a missing link"
is "$(on node2 pvecm add 10.77.0.77 --token "$(on node1 pvecm token)" --link0 10.77.0.2 2>&1)" "*cannot reach '10.77.0.77'*" "a host that is not there is named"
is "$(untouched node2)" node2 "the new node is as it was"
is "$(conf node1)" "$before" "and so is the cluster"
on node2 touch /etc/corosync/authkey
is "$(add_by_token node2)" "*authentication key '/etc/corosync/authkey' already exists*Check if node may join a cluster failed!" "leftovers are named"
on node2 rm /etc/corosync/authkey

# --- joining -----------------------------------------------------------------------------------
token=$(on node1 pvecm token)
is "$(add_by_token node2 "$token")" "*successfully added node 'node2' to cluster." "a node joins by token"
is "$(add_by_token node3 "$token")" "*unknown, used or over*" "the token is good for one"
on node2 test -e /etc/pve/before
ok "the new node has the cluster's tree"
has_votes() { [ "$(votes node1)" = "$1" ]; }
within 10 has_votes 2
ok "and its vote"
is "$(add_by_password node3 "$password" "$print")" "*successfully added node 'node3' to cluster." "another one joins by password"
within 10 has_votes 3
ok "three votes"
is "$(on node3 sh -c 'openssl verify -CAfile /etc/pve/pve-root-ca.pem /etc/pve/nodes/node3/pve-ssl.pem')" "*: OK" "its certificate is of the cluster's CA"
for node in node1 node2 node3; do
    within 20 on $node sh -c 'cmp /etc/pve/corosync.conf /etc/corosync/corosync.conf'
    ok "$node runs with the cluster's corosync.conf"
done
is "$(on node1 pvecm nodes | awk '{print $3}' | tr '\n' ' ')" "*node1 node2 node3*" "the members are listed"

# --- for good, and again ------------------------------------------------------------------------
is "$(on node1 pvecm delnode node1 2>&1)" "Cannot delete myself from cluster!" "nobody deletes itself"
is "$(on node1 pvecm delnode node9 2>&1)" "Node/IP: node9 is not a known host of the cluster." "nor whom nobody knows"
is "$(on node1 pvecm delnode node3 2>&1)" "*still a member of the running cluster*" "nor who is there"
is "$(on node1 pvecm expected 1 2>&1)" "Unable to set expected votes*" "votes that are present stay expected"
lab power off node3
within 15 has_votes 2
within 20 on node1 pvecm delnode node3
ok "a node that is off is deleted"
is "$(conf node1)" "*node2*" "the others stay"
isnt "$(conf node1)" "*node3*" "its entry is gone"
is "$(on node1 ls /etc/pve/nodes | tr '\n' ' ')" "node1 node2 " "its folder is set aside"
lab power on node3
within 30 on node3 true
during 8 has_votes 2
ok "with its old files it does not become a member again"
isnt "$(on node3 touch /etc/pve/x 2>&1)" "" "and changes nothing"
on node3 sh -c 'rm -rf /etc/corosync/* /var/lib/pve-cluster/*'
lab power reset node3 > /dev/null
alone() { on node3 sh -c '! test -e /etc/pve/corosync.conf && test -e /etc/pve/nodes/node3/pve-ssl.pem'; }
within 60 alone
ok "installed anew, it is alone"

# --- two at once ---------------------------------------------------------------------------------
one=$(on node1 pvecm token) two=$(on node1 pvecm token)
add_by_token node3 "$one" > "/tmp/lab-$LAB_NAME.3" & first=$!
add_by_token node4 "$two" > "/tmp/lab-$LAB_NAME.4" & second=$!
wait $first; ok "two join at once: the same name comes again" || cat "/tmp/lab-$LAB_NAME.3"
wait $second; ok "and a fourth node" || cat "/tmp/lab-$LAB_NAME.4"
rm -f "/tmp/lab-$LAB_NAME.3" "/tmp/lab-$LAB_NAME.4"
within 10 has_votes 4
ok "four votes"
is "$(on node4 pvecm leave 2>&1)" "*left the cluster*" "a node leaves by itself"
within 15 has_votes 3
ok "its vote has gone with it"
isnt "$(conf node1)" "*node4*" "and its entry"

#!/bin/bash
# What a client sees at port 8006: logins, tickets, CSRF tokens, forwarding, limits, tasks.
. "$(dirname "$0")/lib.sh"
lab_up 2
url=https://127.0.0.1:8006/api2
get() { on "$1" curl -ks "${@:3}" "$url/json$2"; }
head_of() { on node1 curl -ks -i "$@" | head -n 1 | tr -d '\r'; }

is "$(head_of $url/json/version)" "HTTP/1.1 401 No ticket" "nobody learns nothing"
is "$(get node1 /access/domains)" '*"realm":"pam"*' "but how to log in"
is "$(get node1 /access/ticket -d username=root@pam -d password=wrong)" '{"data":null,*authentication failure*' "a wrong password is refused"

login=$(get node1 /access/ticket -d username=root@pam --data-urlencode "password=$(lab password)")
ticket=$(jq -r .data.ticket <<< "$login") csrf=$(jq -r .data.CSRFPreventionToken <<< "$login")
is "$ticket" "PVE:root@pam:????????::*" "the right one gives a ticket"
me=(-b "PVEAuthCookie=$ticket") write=(-b "PVEAuthCookie=$ticket" -H "CSRFPreventionToken: $csrf")

is "$(get node1 /version "${me[@]}")" '*"version":"9.2.0"*' "which opens the API"
is "$(get node2 /version "${me[@]}")" '*"version":"9.2.0"*' "on every node"
is "$(get node1 /version -b "PVEAuthCookie=x$ticket")" '*invalid PVE ticket*' "a changed ticket does not"
is "$(get node1 /access/ticket -d username=root@pam --data-urlencode "password=$ticket")" '*"ticket":"PVE:root@pam*' "a ticket renews itself"
is "$(get node1 /storage "${me[@]}" -d storage=x1 -d type=dir -d path=/mnt)" '*invalid csrf token*' "nothing is changed without a CSRF token"
is "$(get node1 /storage "${write[@]}" -d storage=x1 -d type=dir -d bla=1)" '*"errors":{*"bla":*' "each bad parameter is named"
is "$(get node1 /nodes/node2/time "${me[@]}")" '{"data":{"localtime":*' "another node is asked by way of the first"
is "$(get node1 /nodes/node9/time "${me[@]}")" "*no such cluster node 'node9'*" "a node that is none is named"

on node2 qm create 300 --name edge --memory 64
upid=$(get node1 /nodes/node2/qemu/300/status/start "${write[@]}" -X POST | jq -r .data)
is "$upid" "UPID:node2:*:qmstart:300:root@pam:" "a task of another node is started"
get_ends() { get node1 "/nodes/node2/tasks/$1/status" "${me[@]}" | jq -e '.data.status == "stopped"' > /dev/null; }
within 20 get_ends "$upid"
is "$(get node1 "/nodes/node2/tasks/$upid/status" "${me[@]}" | jq -r .data.exitstatus)" OK "and ends well"
is "$(get node1 /cluster/tasks "${me[@]}")" "*$upid*" "all nodes know of it"
is "$(on node1 pvesh get /nodes/node2/qemu/300/status/current --output-format json)" '*"status":"running"*' "root's command reaches the other node"

is "$(head_of -X OPTIONS $url/json/version)" "HTTP/1.1 501 method 'OPTIONS' not available" "other verbs are refused"
is "$(head_of -H "X: $(head -c 9000 /dev/zero | tr '\0' a)" $url/json/version)" "HTTP/1.1 431 *" "a long head is refused"
is "$(on node1 sh -c "head -c 600000 /dev/zero | curl -ks -i --data-binary @- $url/json/access/ticket" | head -n 1)" "HTTP/1.1 413 *" "a long body is refused"
is "$(on node1 curl -s -i http://127.0.0.1:8006/x | head -n 1)" "HTTP/1.1 301 *" "plain HTTP is sent to https"
is "$(on node1 ps -o user= -C quorate-proxyd)" "quorate[-+]*" "proxyd is not root"

# Slow clients cost themselves only.
on node1 bash -c 'for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/8006; sleep 5) & done; sleep 1' &
sleep 1
is "$(get node1 /version "${me[@]}" -m 3)" '*"version"*' "100 silent clients block nobody"

lab daemon kill node1 apid
api_is_back() { [[ $(get node1 /version "${me[@]}") == *9.2.0* ]]; }
within 3 api_is_back
ok "apid is back after kill -9"

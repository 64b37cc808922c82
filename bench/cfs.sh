#!/usr/bin/env bash
# The cluster filesystem on a three-node lab against its limits: latency, throughput, bytes, memory.
# Repeat: bench/cfs.sh BUILD [ROUNDS]     (default 3 rounds; the lab "cfsbench" is made and removed)
exec "$(dirname "$0")/cfs.py" "${1:-build}" "${2:-3}"

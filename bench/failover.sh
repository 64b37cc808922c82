#!/usr/bin/env bash
# Power loss to guest process on another node, watchdog fencing only; the limit is 10 s.
# Repeat: bench/failover.sh BUILD [RUNS]     (default 6 runs here; 20 for the figures in docs)
exec "$(dirname "$0")/failover.py" "${1:-build}" "${2:-6}"

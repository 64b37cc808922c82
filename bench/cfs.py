#!/usr/bin/env python3
"""The cluster filesystem on a three-node lab, against the limits of the project.

    bench/cfs.py BUILD [ROUNDS] [--lab NAME] [--keep] [--running]

Three nodes on one disk and one machine: figures are pessimistic in CPU and disk, optimistic in network.
--running takes a lab that is up already. Exit 1 if a limit is broken.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


class Node:
    def __init__(self, name, init):
        self.name = name
        self.mount = os.path.join("/proc", str(init), "root", "etc", "pve")
        self.namespace = os.readlink(f"/proc/{init}/ns/pid")
        self.cfsd = self.find("quorate-cfsd")

    def find(self, comm):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm") as file:
                    if file.read().strip() == comm and os.readlink(f"/proc/{pid}/ns/pid") == self.namespace:
                        return int(pid)
            except OSError:
                continue
        sys.exit(f"{self.name}: {comm} does not run")

    def written(self):
        with open(f"/proc/{self.cfsd}/io") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))

    def pss(self):
        with open(f"/proc/{self.cfsd}/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def timed(calls):
    """Seconds of each call."""
    result = []
    for call in calls:
        start = time.perf_counter()
        call()
        result.append(time.perf_counter() - start)
    return result


def ms(values, q=0.5):
    values = sorted(values)
    return 1e3 * values[min(len(values) - 1, int(q * len(values)))]


def create(path, data, piece=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        for at in range(0, len(data), piece or len(data)):
            os.write(fd, data[at:at + (piece or len(data))])
    finally:
        os.close(fd)


def written_by_each(nodes, work):
    """Runs @work. Returns its result, and bytes that each node's daemon wrote, commits behind included."""
    before = [node.written() for node in nodes]
    result = work()
    time.sleep(0.5)
    return result, [node.written() - old for node, old in zip(nodes, before)]


def writers(nodes, folder, count, each, data):
    """@count processes, spread over the nodes. Returns: creates per second of all together."""
    ready, children = os.pipe(), []
    for k in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(ready[1])
            os.read(ready[0], 1)
            mount = nodes[k % len(nodes)].mount
            for i in range(each):
                create(f"{mount}/{folder}/w{k}-{i}", data)
            os._exit(0)
        children.append(pid)
    time.sleep(0.2)
    start = time.perf_counter()
    os.close(ready[1])
    os.close(ready[0])
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    if failed:
        sys.exit(f"{failed} writers failed")
    return count * each / (time.perf_counter() - start)


def visible(nodes, folder, data, count):
    """From close() on one node to the right size on another."""
    result = []
    for i in range(count):
        name = f"{folder}/v{i}"
        create(f"{nodes[0].mount}/{name}", data)
        start = time.perf_counter()
        while True:
            try:
                if os.stat(f"{nodes[1].mount}/{name}").st_size == len(data):
                    break
            except FileNotFoundError:
                pass
        result.append(time.perf_counter() - start)
    return result


class Table:
    def __init__(self):
        self.broken = 0
        print(f"{'what':<52}{'figure':>12}{'limit':>12}{'ratio':>8}")

    def row(self, what, figure, unit, limit=None, least=False):
        text, ratio = "", ""
        if limit is not None:
            text = f"{'≥' if least else '≤'} {limit:g} {unit}"
            ratio = f"{figure / limit:.2f}"
            if figure < limit if least else figure > limit:
                self.broken += 1
                ratio += " !"
        print(f"{what:<52}{figure:>9.2f} {unit:<4}{text:>10}{ratio:>8}", flush=True)


def measure(nodes, rounds):
    table, kib = Table(), os.urandom(1024)
    root = nodes[0].mount
    folder = f"bench-{os.getpid()}"
    creates, moves, unlinks, bigs, rates, shown = [], [], [], [], [], []
    create_bytes, big_bytes, count = [], [], 200
    os.mkdir(f"{root}/{folder}")
    for part in "ab":
        os.mkdir(f"{root}/{folder}/{part}")
    for r in range(rounds):
        path = lambda i, part="a": f"{root}/{folder}/{part}/{r}-{i}"
        times, each = written_by_each(nodes, lambda: timed(
            [lambda i=i: create(path(i), kib) for i in range(count)]))
        creates += times
        create_bytes.append(max(each) / count)
        moves += timed([lambda i=i: os.rename(path(i), path(i, "b")) for i in range(count)])
        unlinks += timed([lambda i=i: os.unlink(path(i, "b")) for i in range(count)])
        times, each = written_by_each(nodes, lambda: timed(
            [lambda i=i: create(path(f"big{i}"), os.urandom(512 * 1024), 4096) for i in range(5)]))
        bigs += times
        big_bytes.append(max(each) / 5)
        rates.append(writers(nodes, f"{folder}", 16, 100, kib))
        shown += visible(nodes, f"{folder}/b", kib, 100)
        for name in os.listdir(f"{root}/{folder}"):
            if name not in "ab":
                os.unlink(f"{root}/{folder}/{name}")
        for part in "ab":
            for name in os.listdir(f"{root}/{folder}/{part}"):
                os.unlink(f"{root}/{folder}/{part}/{name}")
    table.row("create O_EXCL with 1 KiB (two updates), p50", ms(creates), "ms", 9)
    table.row("                                        p99", ms(creates, 0.99), "ms")
    table.row("move, p50", ms(moves), "ms", 6)
    table.row("unlink, p50", ms(unlinks), "ms", 6)
    table.row("16 writers over the nodes", statistics.median(rates), "/s", 900, least=True)
    table.row("bytes to each disk per create of 1 KiB", statistics.median(create_bytes) / 1024, "KiB", 12)
    table.row("512 KiB in pieces of 4 KiB, p50", ms(bigs), "ms", 50)
    table.row("bytes to each disk for it", statistics.median(big_bytes) / 1e6, "MB", 2)
    table.row("seen on another node after close(), p50", ms(shown), "ms")
    table.row("                                    p99", ms(shown, 0.99), "ms")
    measure_memory(nodes, folder, table)
    before = [node.written() for node in nodes]
    time.sleep(10)
    table.row("bytes to disk in 10 s of idleness", sum(n.written() - b for n, b in zip(nodes, before)), "B", 0.5)
    clean(nodes, folder)
    return table.broken


def measure_memory(nodes, folder, table):
    """10,000 files of 256 bytes."""
    data = os.urandom(256)
    writers(nodes, folder, 16, 625, data)
    table.row("memory of cfsd (PSS) with 10,000 files", max(n.pss() for n in nodes) / MIB, "MiB", 40)


def clean(nodes, folder):
    for base, folders, files in os.walk(f"{nodes[0].mount}/{folder}", topdown=False):
        for name in files:
            os.unlink(f"{base}/{name}")
        for name in folders:
            os.rmdir(f"{base}/{name}")
    os.rmdir(f"{nodes[0].mount}/{folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--lab", default="cfsbench")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--running", action="store_true", help="the lab is up already; leave it so")
    args = parser.parse_args()
    lab = [os.path.join(args.build, "quorate-lab"), "--lab", args.lab]
    print(f"repeat: bench/cfs.py {args.build} {args.rounds}")
    try:
        if not args.running:
            subprocess.run([*lab, "up", "--nodes", "3"], check=True)
        status = json.loads(subprocess.run([*lab, "status", "--json"], check=True, capture_output=True).stdout)
        nodes = [Node(row["node"], row["pid"]) for row in status["nodes"]]
        broken = measure(nodes, args.rounds)
    finally:
        if not args.running and not args.keep:
            subprocess.run([*lab, "down"], check=False)
    print("every limit kept" if broken == 0 else f"{broken} limits broken")
    return broken != 0


sys.exit(main())

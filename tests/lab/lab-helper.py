#!/usr/bin/env python3
"""What lab-contract.sh needs inside a host and a shell cannot do."""
import os
import socket
import subprocess
import sys
import time


def ask(path, *words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(20)
        s.connect(path)
        answers = []
        for word in words:
            s.send(word.encode())
            answers.append(s.recv(256).decode())
        return answers


def direct(path):
    import mmap
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    print("ok" if os.write(fd, mmap.mmap(-1, 4096)) == 4096 else "no")


def reboot():
    import ctypes
    ctypes.CDLL(None).reboot(0x01234567)


def init(*requests):
    print(";".join(ask("/run/lab/init", r)[0] for r in requests))


def watchdog_words():
    device = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device.settimeout(5)
    device.connect("/run/lab/watchdog")

    def say(word, note):
        device.send(word.encode())
        t, seconds, left = device.recv(64).decode().split()
        assert t == "T" and (left == "-1" or 0 < int(left) <= int(seconds) * 1000), (t, seconds, left)
        said.append(f"T {seconds} {left} {note}")

    said = []
    say("?", "running")
    say("T 3", "fed")
    time.sleep(0.3)
    device.send(b"?")
    assert int(device.recv(64).split()[2]) <= 2750
    say("K", "fed")
    say("T 0", "bad kept")
    second = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    second.settimeout(5)
    second.connect("/run/lab/watchdog")
    said.append("busy" if second.recv(64) == b"" else "two clients")
    say("V", "closed")
    device.close()
    device = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device.settimeout(5)
    device.connect("/run/lab/watchdog")
    say("T 2", "runs on")
    print(";".join(said))


def hears(program, lab, sender, receiver, address):
    """yes if a datagram from one host reaches another; no answer is needed."""
    listen = ("import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(6); "
              "s.bind(('', 999)); print('ready', flush=True); s.recv(9); print('heard')")
    send = ("import socket, sys, time; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for i in range(5): s.sendto(b'x', (sys.argv[1], 999)); time.sleep(0.05)")
    # Names are resolved by asking both ways: a one-way cut would stop that already.
    last = sender.removeprefix("node")
    net = address.rsplit(".", 1)[0]
    third = net.rsplit(".", 1)[1]
    for host, ip, number in ((sender, address, receiver.removeprefix("node")), (receiver, f"{net}.{last}", last)):
        subprocess.run([program, "--lab", lab, "exec", host, "--", "ip", "neigh", "replace", ip, "lladdr",
                        f"02:51:0a:4d:{int(third):02x}:{int(number):02x}", "dev",
                        "vmbr0" if third == "0" else "eth1"], check=True)
    receiving = subprocess.Popen([program, "--lab", lab, "exec", receiver, "--", "python3", "-c", listen],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    receiving.stdout.readline()
    subprocess.run([program, "--lab", lab, "exec", sender, "--", "python3", "-c", send, address], check=True)
    print("yes" if "heard" in receiving.communicate()[0] else "no")


def stop(name):
    init(f"stop {name}")


globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])

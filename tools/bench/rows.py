"""What is measured: each row is a load, and how its figures are read."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

from pods import stop


@dataclass(frozen=True)
class Row:
    name: str
    arguments: tuple      # of `sm-bench load`
    unit: str = "/s"      # of operations a second: "/s", or "B/s" for bulk
    judged_by: str = "rate"   # "rate", more is better; "p50_us", less is
    busy: bool = False    # two other processes want both processors
    quick: bool = True    # part of --quick


def exchange(name, size, connections, **more):
    return Row(name, ("--kind", "exchange", "--size", size, "--connections", connections), **more)


def bulk(name, kind, connections, **more):
    return Row(name, ("--kind", kind, "--size", 131072, "--connections", connections), unit="B/s", **more)


# One exchange at a time on an idle machine measures how deep its processors sleep, and a busy proxy keeps them awake:
# so that row is judged beside two busy processes, at a steady rate, by what is due and not by what was sent.
ROWS = (
    Row("64 B x 1, busy machine, p50", ("--kind", "paced", "--rate", 500, "--size", 64, "--connections", 1),
        judged_by="p50_us", busy=True),
    Row("64 B x 8, busy machine, p99", ("--kind", "paced", "--rate", 2000, "--size", 64, "--connections", 8),
        judged_by="p99_us", busy=True, quick=False),
    exchange("64 B x 1", 64, 1, quick=False),
    exchange("64 B x 32", 64, 32),
    exchange("16 KiB x 32", 16384, 32),
    Row("connect + 64 B + close x 8", ("--kind", "connect", "--size", 64, "--connections", 8)),
    bulk("bulk out", "upload", 1),
    bulk("bulk in", "download", 1),
    bulk("bulk out x 8", "upload", 8),
)


@contextmanager
def busy_machine(pod, engine, busy):
    burners = [pod.start([engine, "burn"]) for _ in range(2)] if busy else []
    try:
        yield
    finally:
        for burner in burners:
            stop(burner)
            pod.started.remove(burner)


def run(row, path, engine, seconds):
    """One run: what sm-bench says, and of our agents which share of the bytes entered user space."""
    before = path.lane_bytes()
    with busy_machine(path.client, engine, row.busy):
        said = path.client.run([engine, "load", path.target, "--seconds", seconds, *row.arguments],
                               stdout=subprocess.PIPE).stdout
    result = json.loads(said)
    result["rate"] = result["operations"] / result["seconds"]
    # Of a processor: seconds for 1000 operations, or for 1 GB.
    result["cpu"] = result["cpu_seconds"] / result["operations"] * (1e9 if row.unit == "B/s" else 1e3)
    result["user_share"] = user_share(before, settled(path)) if before is not None else None
    return result


def settled(path):
    """The lanes' bytes are counted when a flow ends, which an agent notices a moment after we did."""
    last = path.lane_bytes()
    while True:
        time.sleep(0.05)
        now = path.lane_bytes()
        if now == last:
            return now
        last = now


def user_share(before, after):
    moved = {lane: after[lane] - before.get(lane, 0) for lane in after}
    total = sum(moved.values())
    return (moved.get("io_uring", 0) + moved.get("epoll", 0)) / total if total else None


def family(pid):
    """A process and its children, theirs too."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid] + [one for child in file.read().split() for one in family(int(child))]


def memory_of(processes):
    """What the processes and their children have for themselves, in bytes, and what the kernel's objects take."""
    private = 0
    for pid in [pid for process in processes for pid in family(process.pid)]:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            private += sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024
    # Objects in use, not the slabs that they lie in: those stay for whoever comes next.
    with open("/proc/slabinfo", encoding="ascii") as file:
        kernel = sum(int(line.split()[1]) * int(line.split()[3]) for line in file.readlines()[2:])
    return private, kernel


def at_rest(processes):
    """The same, once the kernel has done away with what the one before us closed; after 10 s at the latest."""
    last = memory_of(processes)
    for _ in range(20):
        time.sleep(0.5)
        now = memory_of(processes)
        if abs(now[1] - last[1]) < 100_000:
            return now
        last = now
    return last


def idle_memory(path, engine, connections):
    """Bytes that an idle flow takes: of the proxies' own, and of the kernel with both ends and all between."""
    private, kernel = at_rest(path.proxies)
    client = path.client.start([engine, "idle", path.target, "--connections", connections], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    if client.stdout.readline().strip() != "ready":
        print(f"{path.name} does not carry {connections} connections: {client.log.read_text().strip()}", file=sys.stderr)
        return None
    more_private, more_kernel = at_rest(path.proxies)
    client.stdin.close()
    client.wait()
    path.client.started.remove(client)
    return (more_private - private) / connections, (more_kernel - kernel) / connections

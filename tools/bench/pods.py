"""Two pods joined by a veth, once for each path, inside of namespaces that end with the benchmark."""

# The benchmark runs in a network, mount and process namespace of its own (enter()): whatever ends it, all processes
# and all namespaces end with it. Only the cgroups that it makes outlive it; the next run removes them.

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

CLIENT, SERVER = "10.1.0.1", "10.1.0.2"
PORT = 9000
SERVICE = "10.96.0.10"  # where clients with a sidecar connect to
PROXY_ID = 1337
DESCRIPTORS = 200_000  # a proxy has two for each of 10,000 idle connections, and HAProxy wants some more

INSIDE = "SOCKMESH_BENCH_INSIDE"


def enter():
    """Starts this program again, as the first process of namespaces of its own."""
    if os.environ.get(INSIDE):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    Path("/run/netns").mkdir(exist_ok=True)
    raise_descriptor_limit()
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, *sys.argv])


def raise_descriptor_limit():
    """As far as wanted, or as far as this machine lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections():
    """Through a proxy, that has two descriptors for each and some hundred for itself."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000) // 2


CGROUPS = "smbench-"  # what their names begin with


def cgroup_root():
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    sys.exit("tools/bench/run: no cgroup v2 is mounted")


def remove_old_cgroups():
    """Of earlier runs: those that nobody is in any more."""
    for folder in cgroup_root().glob(CGROUPS + "*"):
        try:
            folder.rmdir()
        except OSError:
            pass  # another benchmark's


class Pod:
    """A network namespace. Processes in it end with the benchmark, or before it with stop()."""

    def __init__(self, name, log_folder):
        self.name = name
        self.logs = log_folder
        self.started = []
        self.cgroup = None
        subprocess.run(["ip", "netns", "add", name], check=True)
        # Connections come and go by the ten thousand: ports in TIME_WAIT are used again after a second.
        self.run(["sysctl", "-q", "-w", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=10000 65535"])
        self.run(["ip", "link", "set", "lo", "up"])

    def _enter(self, command, uid):
        inside = ["nsenter", f"--net=/run/netns/{self.name}"]
        if uid is not None:
            inside += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        return inside + [str(word) for word in command]

    def make_cgroup(self):
        """For all processes from now on."""
        self.cgroup = cgroup_root() / f"{CGROUPS}{time.monotonic_ns()}-{self.name}"
        self.cgroup.mkdir()

    def _join_cgroup(self):
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text("0", encoding="ascii")

    def run(self, command, uid=None, **options):
        return subprocess.run(self._enter(command, uid), check=True, text=True, preexec_fn=self._join_cgroup,
                              **options)

    def start(self, command, uid=None, environment=None, **options):
        log = open(self.logs / f"{self.name}-{Path(command[0]).name}.log", "w", encoding="utf-8")
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", log)
        process = subprocess.Popen(self._enter(command, uid), stderr=log, text=True, preexec_fn=self._join_cgroup,
                                   env={**os.environ, **(environment or {})}, **options)
        process.log = Path(log.name)
        self.started.append(process)
        return process

    def listens(self, port):
        return self.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True).stdout != ""


def stop(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait_for(what, condition, process=None, seconds=30):
    """Asks until it holds; a process that ended meanwhile, or time that is up, ends the benchmark."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            why = f"it ended with status {process.returncode}" if ended else f"{seconds} s were not enough"
            said = process.log.read_text(encoding="utf-8", errors="replace")[-2000:] if process else ""
            sys.exit(f"tools/bench/run: {what}: {why}\n{said}")
        time.sleep(0.02)


def pair(name, log_folder):
    """A client's pod and a server's, joined by a veth. What neither has an address for ends at the server."""
    client, server = Pod(f"{name}-client", log_folder), Pod(f"{name}-server", log_folder)
    subprocess.run(["ip", "link", "add", "eth0", "netns", client.name, "type", "veth",
                    "peer", "name", "eth0", "netns", server.name], check=True)
    for pod, address, other in ((client, CLIENT, SERVER), (server, SERVER, CLIENT)):
        pod.run(["ip", "addr", "add", f"{address}/24", "dev", "eth0"])
        pod.run(["ip", "link", "set", "eth0", "up"])
        pod.run(["ip", "route", "add", "default", "via", other])
    return client, server

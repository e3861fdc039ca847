"""The ways from client to server that are compared: none between, or a proxy on one side or on both."""

# Every sidecar stands behind the rules that sockmesh-init writes, takes what they redirect to 15001 and 15006, runs as
# the user whose connections they let pass, and has two workers, large buffers and TCP_NODELAY. The peers are given the
# server's address, since HAProxy and nginx do not ask for the original destination: that favours them.

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pods import CLIENT, PORT, PROXY_ID, SERVER, SERVICE, most_connections, pair, wait_for

OUTBOUND, INBOUND, METRICS = 15001, 15006, 15090
MODES = ("auto", "sockmap", "io_uring", "epoll")
# The application's own connection goes to the endpoint: lane direct, on the client's side.
APP_LANES = "app_lanes"
# What an inbound proxy dials from; the rules let it pass to the application.
INBOUND_SOURCE = "127.0.0.6"


class Unable(Exception):
    """A path cannot be had on this machine, and why."""


def haproxy_config(port, source):
    bind = f" source {source}" if source else ""
    return f"""global
  nbthread 2
  maxconn {most_connections()}
  maxpipes 64
  tune.bufsize 65536
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind :{port}
  server s {SERVER}:{PORT}{bind}
"""


def nginx_config(port, source, folder):
    bind = f"proxy_bind {source};" if source else ""
    return f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections {2 * most_connections()}; }}
stream {{
  server {{
    listen {port} reuseport;
    proxy_buffer_size 64k;
    tcp_nodelay on;
    proxy_half_close on;
    {bind}
    proxy_pass {SERVER}:{PORT};
  }}
}}
"""


def envoy_config(port, source):
    address = {"socket_address": {"address": SERVER, "port_value": PORT}}
    cluster = {"name": "server", "connect_timeout": "5s", "type": "STATIC",
               "circuit_breakers": {"thresholds": [{"max_connections": 100000, "max_pending_requests": 100000}]},
               "load_assignment": {"cluster_name": "server", "endpoints": [
                   {"lb_endpoints": [{"endpoint": {"address": address}}]}]}}
    if source:
        cluster["upstream_bind_config"] = {"source_address": {"address": source, "port_value": 0}}
    proxy = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
             "stat_prefix": "bench", "cluster": "server"}
    listener = {"name": "capture", "enable_reuse_port": True,
                "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
                "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}]}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


MANIFESTS = f"""apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: bench, labels: {{app: client}}}}
status: {{podIP: {CLIENT}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: server, namespace: bench, labels: {{app: server}}}}
spec: {{containers: [{{name: server, ports: [{{containerPort: {PORT}}}]}}]}}
status: {{podIP: {SERVER}, conditions: [{{type: Ready, status: "True"}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: server, namespace: bench}}
spec: {{clusterIP: {SERVICE}, selector: {{app: server}}, ports: [{{name: tcp, port: {PORT}}}]}}
"""


@dataclass
class RunningPath:
    """One of the compared ways, running."""
    name: str
    client: object
    server: object
    target: str
    agents: list = field(default_factory=list)   # pods that have an agent of ours
    proxies: list = field(default_factory=list)  # processes between client and server

    def lane_bytes(self):
        """Bytes that agents moved so far, by lane; None where there is no agent to ask."""
        if not self.agents:
            return None
        total = {}
        for pod in self.agents:
            text = pod.run(["curl", "-sf", f"http://127.0.0.1:{METRICS}/stats/prometheus"], capture_output=True).stdout
            for lane, count in re.findall(r'^sockmesh_lane_bytes_total\{.*lane="(\w+)".*\} (\S+)$', text, re.MULTILINE):
                total[lane] = total.get(lane, 0) + float(count)
        return total


class Maker:
    """Makes paths by their names: a proxy's, with `x2` behind it when both pods have one."""

    def __init__(self, build, work, envoy):
        self.bin = Path(build).resolve() / "bin"
        self.work = work
        self.envoy = envoy

    def make(self, name):
        both = name.endswith("x2")
        proxy = name.removesuffix("x2")
        client, server = pair(name.replace("_", ""), self.work)
        if proxy == APP_LANES:
            client.make_cgroup()
        path = RunningPath(name, client, server, f"{SERVER}:{PORT}" if proxy == "direct" else f"{SERVICE}:{PORT}")
        server.start([self.bin / "sm-bench", "serve", f"0.0.0.0:{PORT}"])
        wait_for("the server listens", lambda: server.listens(PORT), server.started[-1])
        if proxy != "direct":
            self.sidecar(path, proxy, client, OUTBOUND)
            if both:
                self.sidecar(path, proxy, server, INBOUND)
        return path

    def sidecar(self, path, proxy, pod, port):
        folder = self.work / pod.name
        folder.mkdir()
        folder.chmod(0o777)  # the proxy's user writes there
        log = open(folder / "init.log", "w", encoding="utf-8")
        mark = ["--direct-mark", "0x20000000"] if pod.cgroup else []
        pod.run([self.bin / "sockmesh-init", "-b", "*", "-i", "*", "-d", "15090,15021,15020", *mark],
                stdout=log, stderr=log)
        source = INBOUND_SOURCE if port == INBOUND else ""
        if proxy in (*MODES, APP_LANES):
            process = self.agent(path, "auto" if proxy == APP_LANES else proxy, pod, folder)
        elif proxy == "haproxy":
            (folder / "haproxy.cfg").write_text(haproxy_config(port, source))
            process = pod.start([self.tool("haproxy"), "-f", folder / "haproxy.cfg"], PROXY_ID)
        elif proxy == "nginx":
            (folder / "nginx.conf").write_text(nginx_config(port, source, folder))
            process = pod.start([self.tool("nginx"), "-c", folder / "nginx.conf", "-p", folder, "-e",
                                 folder / "start.log"], PROXY_ID)
        elif proxy == "envoy":
            (folder / "envoy.json").write_text(envoy_config(port, source))
            process = pod.start([self.envoy, "-c", folder / "envoy.json", "--concurrency", "2", "-l", "warning",
                                 "--base-id", str(len(path.name) * 100 + port % 100), "--use-dynamic-base-id"], PROXY_ID)
        else:
            raise Unable(f"path '{path.name}': expected direct, haproxy, nginx, envoy, {APP_LANES} or one of "
                         f"{', '.join(MODES)}, "
                         "with x2 behind it for a sidecar on both sides")
        wait_for(f"{path.name} listens on port {port}", lambda: pod.listens(port), process)
        path.proxies.append(process)

    def agent(self, path, mode, pod, folder):
        (folder / "config").mkdir()
        (folder / "config" / "bench.yaml").write_text(MANIFESTS)
        who = "client" if pod is path.client else "server"
        identity = {"POD_NAME": who, "POD_NAMESPACE": "bench", "INSTANCE_IP": CLIENT if who == "client" else SERVER}
        path.agents.append(pod)
        lanes = ["--app-lanes", "direct", "--pod-cgroup", pod.cgroup] if pod.cgroup else ["--app-lanes", "off"]
        process = pod.start([self.bin / "sockmesh-agent", "--config", folder / "config", "--run-dir", folder / "run",
                             "--data-path", mode, "--workers", "2", *lanes], environment=identity)
        ready = ["curl", "-sf", "http://127.0.0.1:15021/healthz/ready"]

        def is_ready():
            try:
                pod.run(ready, capture_output=True)
                return True
            except Exception:
                return False
        wait_for(f"the agent of {path.name} is ready", is_ready, process)
        return process

    @staticmethod
    def tool(name):
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not found:
            raise Unable(f"path '{name}': {name} is not installed")
        return found

// How configuration scales: makes a mesh of many Services with endpoints, and prints what reading, compiling,
// changing one object and looking up a route take, in time and in memory. With --write it only writes the
// mesh into a folder, for an agent to run with.
#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"
#include "model/match.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

struct Size {
  int services = 10'000;
  int endpoints = 5;  // of each
  bool pods = false;  // endpoints are selected pods instead of EndpointSlices
};

std::string address(int block, int number) {
  return fmt::format("10.{}.{}.{}", block + number / 65536, number / 256 % 256, number % 256);
}

void add_service(std::string& out, int i) {
  out += fmt::format(
      "apiVersion: v1\nkind: Service\nmetadata:\n  name: svc-{0}\n  namespace: ns-{1}\n  labels:\n    app: "
      "svc-{0}\n"
      "spec:\n  type: ClusterIP\n  clusterIP: {2}\n  clusterIPs:\n  - {2}\n  selector:\n    app: svc-{0}\n  "
      "ports:\n"
      "  - name: tcp-main\n    port: 9000\n    protocol: TCP\n    targetPort: 9000\n---\n",
      i, i % 100, address(96, i));
}

void add_slice(std::string& out, int i, const Size& size) {
  out += fmt::format(
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: svc-{0}-abcde\n  namespace: "
      "ns-{1}\n"
      "  labels:\n    kubernetes.io/service-name: svc-{0}\naddressType: IPv4\nports:\n- name: tcp-main\n"
      "  port: 9000\n  protocol: TCP\nendpoints:\n",
      i, i % 100);
  for (int j = 0; j < size.endpoints; ++j) {
    const int k = i * size.endpoints + j;
    out += fmt::format(
        "- addresses:\n  - {}\n  conditions:\n    ready: true\n    serving: true\n    terminating: false\n"
        "  nodeName: node-{}\n  targetRef:\n    kind: Pod\n    name: svc-{}-{}\n    namespace: ns-{}\n  "
        "zone: z{}\n",
        address(128, k), k % 50, i, j, i % 100, k % 3);
  }
  out += "---\n";
}

void add_pods(std::string& out, int i, const Size& size) {
  for (int j = 0; j < size.endpoints; ++j) {
    const int k = i * size.endpoints + j;
    out += fmt::format(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: svc-{0}-6f7d-{1}\n  namespace: ns-{2}\n  labels:\n"
        "    app: svc-{0}\n    version: v1\n    pod-template-hash: 6f7d\nspec:\n  nodeName: node-{3}\n"
        "  serviceAccountName: default\n  containers:\n  - name: main\n    ports:\n    - containerPort: "
        "9000\n"
        "status:\n  podIP: {4}\n  podIPs:\n  - ip: {4}\n---\n",
        i, j, i % 100, k % 50, address(128, k));
  }
}

std::string manifests(const Size& size) {
  std::string out =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: ns-0, labels: {app: client}}\n"
      "status: {podIP: 10.250.0.9}\n---\n";
  for (int i = 0; i < size.services; ++i) {
    add_service(out, i);
    size.pods ? add_pods(out, i, size) : add_slice(out, i, size);
  }
  return out;
}

// Of the processor: what else runs on the machine does not count, as long as it leaves the caches alone.
double milliseconds(const std::function<void()>& work) {
  const std::clock_t began = std::clock();
  work();
  return 1000.0 * static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
}

void row(std::string_view what, const std::string& value) { fmt::print("| {} | {} |\n", what, value); }

std::string megabytes(size_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

size_t heap() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// The highest resident size since the last call of restart_peak().
size_t peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  return 0;
}
void restart_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

ProxyIdentity client() {
  ProxyIdentity identity;
  identity.pod = "client";
  identity.ns = "ns-0";
  return identity;
}

Meta meta(const char* kind, std::string name) {
  Meta made;
  made.kind = kind;
  made.name = std::move(name);
  made.ns = "ns-7";
  made.file = std::make_shared<const std::string>("change.yaml");
  return made;
}

// Objects that concern svc-7, each as it would come after the others.
struct Change {
  const char* kind;
  std::function<void(Resources&)> apply;
};

template <typename T>
void set(List<T>& list, std::shared_ptr<T> object) {
  const auto same = std::find_if(list.begin(), list.end(), [&](const auto& one) {
    return one->meta.name == object->meta.name && one->meta.ns == object->meta.ns;
  });
  if (same == list.end()) {
    list.push_back(std::move(object));
  } else {
    *same = std::move(object);
  }
}

std::vector<Change> changes(int round) {
  const std::string host = "svc-7.ns-7.svc.cluster.local";
  return {
      {"Service",
       [=](Resources& all) {
         auto made = std::make_shared<Service>(*all.services[7]);
         made->ports[0].port = static_cast<uint16_t>(9000 + round % 2);
         all.services[7] = made;
       }},
      {"EndpointSlice",
       [=](Resources& all) {
         if (all.endpoints.empty()) return;
         auto made = std::make_shared<EndpointSet>(*all.endpoints[7]);
         made->subsets[0].addresses[0].ready = round % 2 == 0;
         all.endpoints[7] = made;
       }},
      {"Pod",
       [=](Resources& all) {
         auto made = std::make_shared<Pod>();
         made->meta = meta("Pod", "new");
         made->meta.labels = {{"app", "svc-7"}};
         made->ips = {IpAddress::v4(0x0afb0001u + static_cast<uint32_t>(round))};
         set(all.pods, made);
       }},
      {"ServiceEntry",
       [=](Resources& all) {
         auto made = std::make_shared<ServiceEntry>();
         made->meta = meta("ServiceEntry", "outside");
         made->hosts = {"outside.example.com"};
         made->addresses = {{IpAddress::v4(0xc6336401u + static_cast<uint32_t>(round)), 32}};
         made->ports.emplace_back().number = 443;
         made->ports[0].protocol = "TCP";
         set(all.service_entries, made);
       }},
      {"VirtualService",
       [=](Resources& all) {
         auto made = std::make_shared<VirtualService>();
         made->meta = meta("VirtualService", "route");
         made->hosts = {host};
         L4Route route;
         route.destinations.push_back({{host, "", 9000}, 100 - round % 9, 0});
         route.destinations.push_back({{"svc-8.ns-8.svc.cluster.local", "", 9000}, round % 9, 0});
         made->tcp.push_back(route);
         set(all.virtual_services, made);
       }},
      {"DestinationRule",
       [=](Resources& all) {
         auto made = std::make_shared<DestinationRule>();
         made->meta = meta("DestinationRule", "rule");
         made->host = host;
         made->policy.emplace().connection_pool.emplace().max_connections = 1 + static_cast<uint32_t>(round);
         set(all.destination_rules, made);
       }},
      {"Sidecar of others",
       [=](Resources& all) {
         auto made = std::make_shared<Sidecar>();
         made->meta = meta("Sidecar", "default");
         made->egress.emplace_back().hosts = {round % 2 == 0 ? "./*" : "*/*"};
         set(all.sidecars, made);
       }},
  };
}

// The median over some rounds, by kind.
void measure_changes(const Resources& resources) {
  constexpr int kRounds = 15;
  Resources now = resources;
  Compiler compiler({client()});
  compiler.compile(now);
  const size_t kinds = changes(0).size();
  const bool slices = !resources.endpoints.empty();
  std::vector<std::vector<double>> took(kinds);
  for (int round = 0; round < kRounds; ++round)
    for (size_t kind = 0; kind < kinds; ++kind) {
      changes(round)[kind].apply(now);
      Resources given = now;
      took[kind].push_back(milliseconds([&] { compiler.compile(std::move(given)); }));
    }
  for (size_t kind = 0; kind < kinds; ++kind) {
    const std::string_view name = changes(0)[kind].kind;
    if (name == "EndpointSlice" && !slices) continue;
    std::sort(took[kind].begin(), took[kind].end());
    row(fmt::format("one {} changes", name), fmt::format("{:.1f} ms", took[kind][kRounds / 2]));
  }
}

void measure_lookup(const model::Snapshot& snapshot, const Size& size) {
  constexpr int kLookups = 1'000'000;
  size_t found = 0;
  const double took = milliseconds([&] {
    model::ConnectionInfo connection;
    for (int i = 0; i < kLookups; ++i) {
      // Far apart, as the clients' destinations are.
      const auto number = static_cast<uint32_t>(static_cast<int64_t>(i) * 7919 % size.services);
      connection.destination = {IpAddress::v4(0x0a600000u + number), 9000};
      found += model::match(snapshot, connection).chain != nullptr;
    }
  });
  row("one route lookup",
      fmt::format("{:.0f} ns{}", took * 1e6 / kLookups, found == kLookups ? "" : " (some failed)"));
}

void measure(const Size& size) {
  fmt::print("| {} Services, {} endpoints {} | |\n|---|--:|\n", size.services, size.services * size.endpoints,
             size.pods ? "by pods that they select" : "in EndpointSlices");
  Resources resources;
  const size_t empty = heap();
  {
    const std::string text = manifests(size);
    std::vector<ReadProblem> problems;
    const double took = milliseconds([&] { read_manifest(text, "mesh.yaml", resources, problems); });
    row(fmt::format("read {} of YAML", megabytes(text.size())), fmt::format("{:.0f} ms", took));
  }
  const size_t read = heap();
  row("kept: resources", megabytes(read - empty));

  malloc_trim(0);
  restart_peak();
  const size_t before = peak();
  model::SnapshotPtr snapshot;
  const double took = milliseconds([&] { snapshot = compile(resources, client()); });
  row("compile", fmt::format("{:.0f} ms", took));
  row("most resident while compiling, on top of before", megabytes(peak() - before));
  row("kept: snapshot", megabytes(heap() - read));
  measure_lookup(*snapshot, size);
  snapshot.reset();
  measure_changes(resources);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Scale of the configuration: times and memory for a mesh of many Services.");
  Size size;
  std::string folder;
  app.add_option("--services", size.services, "how many")->check(CLI::Range(10, 60'000));
  app.add_option("--endpoints", size.endpoints, "of each Service")->check(CLI::Range(1, 20));
  app.add_flag("--pods", size.pods, "endpoints are selected pods instead of EndpointSlices");
  app.add_option("--write", folder, "write the mesh into this folder and do nothing else");
  CLI11_PARSE(app, argc, argv);
  if (folder.empty()) {
    measure(size);
    return 0;
  }
  std::ofstream file(folder + "/mesh.yaml");
  file << manifests(size);
  return file.flush() ? 0 : 1;
}

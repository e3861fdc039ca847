#include "random_mesh.h"

#include <algorithm>
#include <string>

namespace sockmesh::config {

namespace {

const auto kFile = std::make_shared<const std::string>("random.yaml");
constexpr int kNamespaces = 3;
constexpr int kApps = 4;

class Maker {
 public:
  explicit Maker(std::mt19937_64& random, uint32_t next = 0) : random_(random), next_(next) {}

  size_t below(size_t n) { return random_() % n; }
  bool chance(int percent) { return below(100) < static_cast<size_t>(percent); }
  std::string ns() { return "n" + std::to_string(below(kNamespaces)); }
  std::string app() { return "a" + std::to_string(below(kApps)); }
  uint16_t port() { return static_cast<uint16_t>(9000 + below(3)); }
  std::string host() {
    return chance(80) ? app() + "." + ns() + ".svc.cluster.local" : "e" + std::to_string(below(3)) + ".com";
  }

  Meta meta(const char* kind, std::string name, std::string in) {
    Meta made;
    made.kind = kind;
    made.name = std::move(name);
    made.ns = std::move(in);
    made.file = kFile;
    if (chance(70)) made.created = WallTime(std::chrono::seconds(below(4)));
    return made;
  }

  std::vector<std::string> export_to() {
    switch (below(6)) {
      case 0:
        return {"."};
      case 1:
        return {"n0"};
      case 2:
        return {"~"};
      case 3:
        return {"n1", "n2"};
      default:
        return {};
    }
  }

  std::shared_ptr<const Service> service(const std::string& name, const std::string& in) {
    auto made = std::make_shared<Service>();
    made->meta = meta("Service", name, in);
    if (const auto to = export_to(); !to.empty()) {
      std::string& text = made->meta.annotations["networking.istio.io/exportTo"];
      for (const std::string& one : to) text += (text.empty() ? "" : ",") + one;
    }
    const size_t kind = below(10);
    if (kind == 0) {
      made->type = "ExternalName";
      made->external_name = host();
    } else if (kind == 1) {
      made->headless = true;
    } else {
      made->cluster_ips = {IpAddress::v4(0x0a600000 + static_cast<uint32_t>(below(8)))};
    }
    made->selector = {{"app", name}};
    const char* names[] = {"tcp", "http", "tls", "odd", "mysql"};
    for (uint16_t number = 9000; number < 9003; ++number)
      if (chance(60)) {
        ServicePort one;
        one.port = number;
        one.name = std::string(names[below(5)]) + "-" + std::to_string(number);
        if (chance(20)) one.target.number = static_cast<uint16_t>(number + 100);
        made->ports.push_back(one);
      }
    return made;
  }

  std::shared_ptr<const ServiceEntry> entry(const std::string& name, const std::string& in) {
    auto made = std::make_shared<ServiceEntry>();
    made->meta = meta("ServiceEntry", name, in);
    made->hosts = {"e" + std::to_string(below(3)) + ".com"};
    if (chance(20)) made->hosts.push_back("x.e.com");
    const char* blocks[] = {"10.50.0.0/16", "10.50.1.0/24", "10.96.0.1/32", "192.0.2.1/32"};
    if (chance(70)) made->addresses = {Prefix::parse(blocks[below(4)]).value()};
    made->resolution = static_cast<Resolution>(below(4));
    IstioPort one;
    one.number = port();
    one.name = "p";
    one.protocol = chance(70) ? "TCP" : "TLS";
    made->ports = {one};
    if (chance(60) && made->resolution != Resolution::kNone) {
      WorkloadEntrySpec spec;
      spec.address = "198.51.100." + std::to_string(below(5));
      made->endpoints = {spec};
    }
    made->export_to = export_to();
    return made;
  }

  std::shared_ptr<const VirtualService> route(const std::string& name, const std::string& in) {
    auto made = std::make_shared<VirtualService>();
    made->meta = meta("VirtualService", name, in);
    made->hosts = {chance(10) ? "*." + ns() + ".svc.cluster.local" : host()};
    made->export_to = export_to();
    if (chance(25)) made->gateways = {ns() + "/g0"};
    if (!made->gateways.empty() && chance(50)) made->gateways.emplace_back("mesh");
    for (size_t n = 1 + below(2); n > 0; --n) {
      L4Route tcp;
      for (size_t d = 1 + below(2); d > 0; --d) {
        RouteDestination to;
        to.destination.host = host();
        if (chance(50)) to.destination.port = port();
        if (chance(30)) to.destination.subset = "v1";
        to.weight = static_cast<int64_t>(1 + below(9));
        tcp.destinations.push_back(to);
      }
      if (chance(60)) {
        L4Match match;
        if (chance(60)) match.port = port();
        if (chance(30)) match.destination_subnets = {Prefix::parse("10.50.0.0/17").value()};
        if (chance(20)) match.source_labels = {{"app", "client"}};
        if (chance(20)) match.source_namespace = ns();
        tcp.matches.push_back(match);
      }
      L4Route tls = tcp;
      tls.matches.resize(1);
      tls.matches[0].sni_hosts = {chance(50) ? "s.com" : "*.s.com"};
      made->tcp.push_back(std::move(tcp));
      made->tls.push_back(std::move(tls));
    }
    return made;
  }

  std::shared_ptr<const DestinationRule> rule(const std::string& name, const std::string& in) {
    auto made = std::make_shared<DestinationRule>();
    made->meta = meta("DestinationRule", name, in);
    made->host = host();
    made->export_to = export_to();
    TrafficPolicy policy;
    policy.connection_pool.emplace().max_connections = static_cast<uint32_t>(1 + below(9));
    if (chance(60)) made->policy = policy;
    Subset subset;
    subset.name = "v1";
    subset.labels = {{"version", "v1"}};
    if (chance(60)) made->subsets = {subset};
    return made;
  }

  std::shared_ptr<const Pod> pod(const std::string& name, const std::string& in, const std::string& of) {
    auto made = std::make_shared<Pod>();
    made->meta = meta("Pod", name, in);
    made->meta.labels = {{"app", of}, {"version", chance(50) ? "v1" : "v2"}};
    made->ips = {IpAddress::v4(0x0af40000 + next_++)};
    if (chance(20)) made->ready = false;
    return made;
  }

  std::shared_ptr<const EndpointSet> slice(const std::string& service, const std::string& in) {
    auto made = std::make_shared<EndpointSet>();
    made->meta = meta("EndpointSlice", service + "-slice", in);
    made->service = service;
    EndpointSet::Subset subset;
    for (uint16_t number = 9000; number < 9003; ++number)
      for (const char* name : {"tcp", "http", "tls", "odd", "mysql"})
        subset.ports.push_back({std::string(name) + "-" + std::to_string(number), number, "TCP"});
    for (size_t n = below(4); n > 0; --n) {
      EndpointSet::Address address;
      address.ip = IpAddress::v4(0x0af40000 + static_cast<uint32_t>(below(20)));
      address.ready = chance(80);
      subset.addresses.push_back(address);
    }
    made->subsets.push_back(std::move(subset));
    return made;
  }

  std::shared_ptr<const Sidecar> sidecar(const std::string& name, const std::string& in) {
    auto made = std::make_shared<Sidecar>();
    made->meta = meta("Sidecar", name, in);
    Sidecar::Egress egress;
    egress.hosts = {"./*", ns() + "/" + host()};
    if (chance(40)) {
      Sidecar::Egress first = egress;
      first.port.emplace().number = port();
      first.port->protocol = "TCP";
      made->egress.push_back(first);
    }
    made->egress.push_back(egress);
    return made;
  }

  std::shared_ptr<const Gateway> gateway(const std::string& name, const std::string& in) {
    auto made = std::make_shared<Gateway>();
    made->meta = meta("Gateway", name, in);
    made->selector = {{"app", app()}};
    for (const bool tls : {false, true}) {
      GatewayServer server;
      server.port.number = port();
      server.port.name = tls ? "tls" : "tcp";
      server.port.protocol = tls ? "TLS" : "TCP";
      if (tls) server.tls_mode = "PASSTHROUGH";
      server.hosts = {"*"};
      made->servers.push_back(std::move(server));
    }
    return made;
  }

  std::shared_ptr<const K8sRoute> k8s_route(const std::string& name, const std::string& in) {
    auto made = std::make_shared<K8sRoute>();
    made->meta = meta("TCPRoute", name, in);
    K8sRoute::ParentRef parent;
    parent.kind = "Service";
    parent.ns = ns();
    parent.name = app();
    if (chance(50)) parent.port = port();
    made->parents = {parent};
    K8sRoute::BackendRef backend;
    backend.ns = ns();
    backend.name = app();
    backend.port = port();
    made->rules.emplace_back().backends = {backend};
    return made;
  }

 private:
  std::mt19937_64& random_;
  uint32_t next_;  // address of a pod
};

}  // namespace

Resources random_mesh(std::mt19937_64& random) {
  Maker make(random);
  Resources mesh;
  auto client = std::make_shared<Pod>();
  client->meta = make.meta("Pod", "client", "n0");
  client->meta.labels = {{"app", "client"}};
  if (make.chance(20)) client->meta.annotations["sockmesh.io/egressBlock"] = "10.0.0.0/8, here";  // SM0301
  client->ips = {IpAddress::v4(0x0af40909)};
  mesh.pods.push_back(client);
  for (int n = 0; n < kNamespaces; ++n)
    for (int a = 0; a < kApps; ++a) {
      const std::string app = "a" + std::to_string(a), ns = "n" + std::to_string(n);
      if (make.chance(80)) mesh.services.push_back(make.service(app, ns));
      if (make.chance(40)) mesh.endpoints.push_back(make.slice(app, ns));
      for (int i = 0; i < 2; ++i) mesh.pods.push_back(make.pod(app + "-" + std::to_string(i), ns, app));
    }
  for (int i = 0; i < 5; ++i) {
    const std::string name = "o" + std::to_string(i);
    if (make.chance(70)) mesh.service_entries.push_back(make.entry(name, make.ns()));
    if (make.chance(70)) mesh.virtual_services.push_back(make.route(name, make.ns()));
    if (make.chance(70)) mesh.destination_rules.push_back(make.rule(name, make.ns()));
  }
  if (make.chance(30)) mesh.sidecars.push_back(make.sidecar("default", "n0"));
  for (const char* ns : {"n1", "n2"})
    if (make.chance(70)) mesh.gateways.push_back(make.gateway("g0", ns));
  if (make.chance(50)) mesh.k8s_routes.push_back(make.k8s_route("k0", make.ns()));
  return mesh;
}

ProxyIdentity random_client() {
  ProxyIdentity client;
  client.pod = "client";
  client.ns = "n0";
  return client;
}

std::vector<ProxyIdentity> random_proxies() {
  ProxyIdentity other;
  other.pod = "a0-0";
  other.ns = "n1";
  ProxyIdentity gateway;
  gateway.role = Role::kGateway;
  gateway.pod = "a1-1";
  gateway.ns = "n2";
  return {random_client(), other, gateway};
}

void change_one(Resources& resources, std::mt19937_64& random) {
  Maker make(random, static_cast<uint32_t>(random() % 30));
  // Of each name there is one object of a kind.
  const auto change = [&](auto& list, auto made) {
    const auto same = std::find_if(list.begin(), list.end(), [&](const auto& one) {
      return one->meta.name == made->meta.name && one->meta.ns == made->meta.ns;
    });
    if (same == list.end()) {
      list.insert(list.begin() + static_cast<std::ptrdiff_t>(make.below(list.size() + 1)), made);
    } else if (make.chance(40)) {
      list.erase(same);
    } else {
      *same = made;
    }
  };
  const std::string app = make.app(), ns = make.ns();
  switch (make.below(13)) {
    case 0:
    case 1:
      change(resources.services, make.service(app, ns));
      break;
    case 2:
      change(resources.service_entries, make.entry("o" + app, ns));
      break;
    case 3:
    case 4:
      change(resources.virtual_services, make.route("o" + app, ns));
      break;
    case 5:
      change(resources.destination_rules, make.rule("o" + app, ns));
      break;
    case 6:
      change(resources.sidecars, make.sidecar(make.chance(50) ? "default" : "other", ns));
      break;
    case 7:
      change(resources.pods, make.pod(app + "-" + std::to_string(make.below(3)), ns, app));
      break;
    case 8:
      change(resources.pods, make.pod("client", "n0", "client"));
      break;
    case 9:
      change(resources.gateways, make.gateway("g0", ns));
      break;
    case 10:
      if (make.chance(30)) change(resources.k8s_routes, make.k8s_route("k0", ns));
      break;
    default:
      change(resources.endpoints, make.slice(app, ns));
      break;
  }
}

}  // namespace sockmesh::config

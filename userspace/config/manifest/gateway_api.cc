#include <algorithm>

#include "config/manifest/formats.h"
#include "config/manifest/kinds.h"

namespace sockmesh::config {

namespace {

constexpr Words kTlsModes{"Terminate", "Passthrough"};
constexpr Words kFrom{"All", "Same", "Selector", "None"};

bool read_listener(const Fields& in, K8sGateway::Listener& out) {
  out.line = in.line();
  const Fields tls = in.child("tls");
  if (tls.present()) out.tls_mode = "Terminate";  // the API's default
  // Left out, its port stays closed, rather than opened for others.
  bool good = all_good(
      {in.read("name", out.name, kObjectName, kRequired), in.read("port", out.port, kPort, kRequired),
       in.read("protocol", out.protocol, kText, kRequired), in.read("hostname", out.hostname, kWildcardHost),
       tls.read("mode", out.tls_mode, kTlsModes)});
  const Fields allowed = in.child("allowedRoutes");
  const Fields namespaces = allowed.child("namespaces");
  good = all_good({good, namespaces.read("from", out.from, kFrom)});
  if (const Fields selector = namespaces.child("selector"); selector.present()) {
    good = all_good({good, selector.map("matchLabels", out.from_selector.emplace(), kText)});
  }
  return good;
}

bool read_parent(const Fields& in, K8sRoute::ParentRef& out) {
  return all_good({in.read("kind", out.kind, kText), in.read("namespace", out.ns, kNamespaceName),
                   in.read("name", out.name, kObjectName, kRequired),
                   in.read("sectionName", out.section, kObjectName), in.read("port", out.port, kPort)});
}

bool read_backend(const Fields& in, K8sRoute::BackendRef& out) {
  out.line = in.line();
  int64_t weight = 1;
  const bool good = all_good({in.read("kind", out.kind, kText), in.read("namespace", out.ns, kNamespaceName),
                              in.read("name", out.name, kObjectName, kRequired),
                              in.read("port", out.port, kPort), in.read("weight", weight, kWeight)});
  if (in.has("weight")) out.weight = weight;
  return good;
}

}  // namespace

void read_k8s_gateway(const Fields& object, Meta&& meta, Resources& out) {
  K8sGateway gateway{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.read("gatewayClassName", gateway.class_name, kObjectName);
  spec.each("listeners", [&](const Fields& in) {
    K8sGateway::Listener listener;
    const bool good = read_listener(in, listener);
    if (good) gateway.listeners.push_back(std::move(listener));
    return good;
  });
  spec.each("addresses", [&](const Fields& in) {
    std::string value;
    const bool good = in.read("value", value, kHostOrIp, kRequired);
    if (good) gateway.addresses.push_back(std::move(value));
    return good;
  });
  keep(out.k8s_gateways, std::move(gateway), object);
}

void read_k8s_route(const Fields& object, Meta&& meta, Resources& out) {
  K8sRoute route{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.each("parentRefs", [&](const Fields& in) {
    K8sRoute::ParentRef parent;
    const bool good = read_parent(in, parent);
    if (good) route.parents.push_back(std::move(parent));
    return good;
  });
  spec.list("hostnames", route.hostnames, kWildcardHost, kVital);  // none at all would mean every name
  // A backend left out would hand its share to the others.
  spec.each(
      "rules",
      [&](const Fields& in) {
        K8sRoute::Rule rule;
        rule.line = in.line();
        const bool good = in.each("backendRefs", [&](const Fields& entry) {
          K8sRoute::BackendRef backend;
          const bool usable = read_backend(entry, backend);
          if (usable) rule.backends.push_back(std::move(backend));
          return usable;
        });
        route.rules.push_back(std::move(rule));
        return good;
      },
      kVital);
  keep(out.k8s_routes, std::move(route), object);
}

void read_reference_grant(const Fields& object, Meta&& meta, Resources& out) {
  ReferenceGrant grant{std::move(meta)};
  const Fields spec = object.child("spec");
  spec.each("from", [&](const Fields& in) {
    ReferenceGrant::From from;
    const bool good = all_good({in.read("kind", from.kind, kText, kRequired),
                                in.read("namespace", from.ns, kNamespaceName, kRequired)});
    if (good) grant.from.push_back(std::move(from));
    return good;
  });
  spec.each("to", [&](const Fields& in) {
    ReferenceGrant::To to;
    // Without its name a grant would hold for every object of the kind.
    const bool good =
        all_good({in.read("kind", to.kind, kText, kRequired), in.read("name", to.name, kObjectName)});
    if (good) grant.to.push_back(std::move(to));
    return good;
  });
  keep(out.reference_grants, std::move(grant), object);
}

}  // namespace sockmesh::config

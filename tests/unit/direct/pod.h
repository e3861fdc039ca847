// A pod with one service, written down in a few lines, and what is decided for it.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "../model/chains.h"
#include "direct/decisions.h"
#include "direct/delta.h"

namespace sockmesh::direct {

inline const MonotonicTime kNow = MonotonicTime(std::chrono::hours(10));

inline SocketAddress addr(const std::string& text) { return SocketAddress::parse(text).value(); }

struct TestPod {
  TestPod() {
    snapshot->self_ips = {IpAddress::parse("10.1.0.9").value()};
    auto outbound = model::listener(model::kVirtualOutbound, {"0.0.0.0:15001"}, {});
    outbound->default_chain = model::to(model::kPassthroughCluster);
    snapshot->listeners = {outbound};
    auto passthrough = std::make_shared<model::Cluster>();
    passthrough->name = model::kPassthroughCluster;
    passthrough->type = model::ClusterType::kOriginalDst;
    snapshot->clusters.emplace(passthrough->name, passthrough);
  }
  model::Listener& listen(const std::string& name, const std::vector<std::string>& at,
                          std::vector<model::FilterChain> chains) {
    auto made = model::listener(name, at, std::move(chains));
    snapshot->listeners.push_back(made);
    return *made;
  }
  model::Cluster& cluster(const std::string& name, const std::vector<std::string>& endpoints) {
    auto made = std::make_shared<model::Cluster>();
    made->name = name;
    for (const std::string& text : endpoints) made->endpoints.emplace_back().address = addr(text);
    snapshot->clusters.insert_or_assign(made->name, made);
    return *made;
  }
  // A copy, as publication makes one: what was not touched stays the same object.
  void next() { snapshot = std::make_shared<model::Snapshot>(*snapshot); }
  const Tables& make(MonotonicTime now = kNow) {
    snapshot->index();
    tables = decisions.make(snapshot, now);
    return tables;
  }
  std::string reason(const std::string& to) {
    const Decided decided = decide(tables, addr(to));
    return decided.intercept ? model::to_string(*decided.intercept) : "direct";
  }
  const ClusterValue& value(const std::string& to, size_t part = 0) {
    const Decided decided = decide(tables, addr(to));
    REQUIRE_FALSE(decided.intercept);
    return *tables.clusters.at(decided.route->parts.at(part).cluster);
  }
  // "10.0.0.1:80 x1, 10.0.0.2:80 x3", in the order of the endpoints
  std::string hosts(const std::string& to, size_t part = 0) {
    std::string text;
    for (const HostValue& host : value(to, part).hosts)
      text += (text.empty() ? "" : ", ") + host.address.to_string() + " x" + std::to_string(host.weight);
    return text;
  }

  std::shared_ptr<model::Snapshot> snapshot = std::make_shared<model::Snapshot>();
  upstream::ClusterRegistry registry;
  upstream::NameCache names;
  model::DirectTerms terms;
  Decisions decisions{registry, names, terms};
  Tables tables;
};

}  // namespace sockmesh::direct

// A service 10.96.0.1:80 with two pods behind it, and direct flows to it as the kernel tells of them.
#pragma once

#include <linux/bpf.h>

#include <cstring>
#include <memory>
#include <string>

#include "../model/chains.h"
#include "bpf/direct_table.h"
#include "model/snapshot.h"

namespace sockmesh::app_lanes {

inline SocketAddress addr(const std::string& text) { return SocketAddress::parse(text).value(); }

inline std::shared_ptr<model::Snapshot> a_service() {
  auto snapshot = std::make_shared<model::Snapshot>();
  snapshot->self_ips = {IpAddress::parse("10.1.0.9").value()};
  snapshot->version = "v1";
  auto outbound = model::listener(model::kVirtualOutbound, {"0.0.0.0:15001"}, {});
  outbound->default_chain = model::to(model::kPassthroughCluster);
  snapshot->listeners = {outbound, model::listener("10.96.0.1_80", {"10.96.0.1:80"}, {model::to("store")})};
  auto store = std::make_shared<model::Cluster>();
  store->name = "store";
  for (const char* text : {"10.1.0.1:80", "10.1.0.2:80"}) {
    model::Endpoint& endpoint = store->endpoints.emplace_back();
    endpoint.address = addr(text);
    auto workload = std::make_shared<model::Workload>();
    workload->name = std::string("pod of ") + text;
    endpoint.workload = workload;
  }
  snapshot->clusters.emplace(store->name, store);
  snapshot->index();
  return snapshot;
}

// Established, with 1000 bytes sent and 2000 received.
inline direct_record flow(direct_record_kind kind, uint64_t cookie = 7,
                          const char* endpoint = "10.1.0.1:80") {
  direct_record record{};
  record.kind = kind;
  record.flow.cookie = cookie;
  record.flow.generation = 3;
  record.flow.connect_ns = 1'000'000'000;
  record.flow.established_ns = kind == DIRECT_FAILED ? 0 : 1'002'000'000;
  record.flow.asked = bpf::to_kernel(addr("10.96.0.1:80"));
  record.reading.now_ns = 5'000'000'000;
  record.reading.local = bpf::to_kernel(addr("10.1.0.9:40000"));
  record.reading.remote = bpf::to_kernel(addr(endpoint));
  record.reading.bytes_acked = 1001;
  record.reading.bytes_received = 2000;
  record.reading.srtt_us = 8 * 250;
  record.reading.retransmits = 2;
  if (kind == DIRECT_ENDED) {
    record.flow.first_step = BPF_TCP_FIN_WAIT1;
    record.reading.bytes_acked = 1002;
    record.reading.flags = DIRECT_FIN_SENT | DIRECT_FIN_ACKED;
  }
  return record;
}

}  // namespace sockmesh::app_lanes

#include "model/snapshot_version.h"

#include <fmt/format.h>

#include <string_view>

#include "base/arithmetic.h"
#include "base/fnv1a.h"

namespace sockmesh::model {

namespace {

// FNV-1a over the fields, each with its length so that neighbours do not run together.
class Hash {
 public:
  Hash& operator<<(std::string_view text) {
    *this << text.size();
    hash_.add(text);
    return *this;
  }
  Hash& operator<<(uint64_t number) {
    for (int i = 0; i < 8; ++i) hash_.add(static_cast<uint8_t>(number >> (8 * i)));
    return *this;
  }
  Hash& operator<<(const IpAddress& ip) {
    *this << static_cast<uint64_t>(ip.is_v6());
    for (const uint8_t byte : ip.bytes()) hash_.add(byte);
    return *this;
  }
  Hash& operator<<(const SocketAddress& address) { return *this << address.ip << address.port; }
  Hash& operator<<(const Prefix& prefix) { return *this << prefix.address << prefix.length; }
  // Mixed once more: parts that differ little must not add up alike.
  SOCKMESH_WRAPS uint64_t value() const {
    const uint64_t value = hash_.value();
    uint64_t mixed = (value ^ (value >> 33)) * 0xff51afd7ed558ccdull;
    mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return mixed ^ (mixed >> 33);
  }

 private:
  Fnv1a hash_;
};

// `Maybe` is std::optional or Rare.
template <template <typename> typename Maybe, typename T>
uint64_t number_or_none(const Maybe<T>& value) {
  if constexpr (std::is_integral_v<T>) {
    return value ? static_cast<uint64_t>(*value) + 1 : 0;
  } else {
    return value ? static_cast<uint64_t>(value->count()) + 1 : 0;
  }
}

void add(Hash& hash, const FilterChain& chain) {
  hash << chain.name << number_or_none(chain.match.destination_port) << chain.log
       << static_cast<uint64_t>(chain.match.transport) << chain.match.prefix_ranges.size();
  for (const Prefix& prefix : chain.match.prefix_ranges) hash << prefix;
  for (const auto* list : {&chain.match.server_names, &chain.match.application_protocols}) {
    hash << list->size();
    for (const std::string& name : *list) hash << name;
  }
  hash << chain.route.stat_prefix << number_or_none(chain.route.idle_timeout)
       << number_or_none(chain.route.max_connection_duration) << chain.route.hash_source_ip
       << chain.route.clusters.size();
  for (const auto& part : chain.route.clusters) hash << part.cluster << part.weight;
}

void add(Hash& hash, const Listener& listener) {
  hash << listener.name << static_cast<uint64_t>(listener.direction) << listener.bind_to_port
       << listener.inspect_tls << listener.accept_proxy_protocol << listener.addresses.size();
  for (const SocketAddress& address : listener.addresses) hash << address;
  hash << listener.chains.size();
  for (const FilterChain& chain : listener.chains) add(hash, chain);
  if (listener.default_chain) add(hash, *listener.default_chain);
}

void add(Hash& hash, const Endpoint& endpoint) {
  if (const auto* address = std::get_if<SocketAddress>(&endpoint.address)) {
    hash << *address;
  } else {
    hash << to_string(endpoint.address);
  }
  hash << endpoint.weight << endpoint.priority << static_cast<uint64_t>(endpoint.health);
}

void add(Hash& hash, const Cluster& cluster) {
  hash << cluster.name << static_cast<uint64_t>(cluster.type) << static_cast<uint64_t>(cluster.lb)
       << cluster.hash_table_size << cluster.panic_threshold_percent
       << number_or_none(cluster.max_connections) << number_or_none(std::optional(cluster.connect_timeout))
       << number_or_none(std::optional(cluster.dns_refresh)) << number_or_none(cluster.original_dst_port)
       << static_cast<uint64_t>(cluster.proxy_protocol);
  if (cluster.slow_start)
    hash << number_or_none(std::optional(cluster.slow_start->duration)) << cluster.slow_start->minimum_percent
         << static_cast<uint64_t>(cluster.slow_start->aggression * 1000);
  if (const auto& keepalive = cluster.keepalive)
    hash << number_or_none(keepalive->probes) << number_or_none(keepalive->time)
         << number_or_none(keepalive->interval);
  if (const auto& outlier = cluster.outlier)
    hash << number_or_none(outlier->consecutive_5xx) << number_or_none(outlier->consecutive_gateway)
         << number_or_none(outlier->consecutive_local_origin) << outlier->split_external_local_origin
         << number_or_none(std::optional(outlier->interval))
         << number_or_none(std::optional(outlier->base_ejection_time)) << outlier->max_ejection_percent;
  for (const auto* bind : {&cluster.bind_source_v4, &cluster.bind_source_v6}) {
    hash << static_cast<uint64_t>(bind->has_value());
    if (*bind) hash << **bind;
  }
  hash << cluster.locality_weights.size();
  for (const auto& share : cluster.locality_weights)
    hash << share.to.region << share.to.zone << share.to.subzone << share.weight;
  hash << cluster.endpoints.size();
  for (const Endpoint& endpoint : cluster.endpoints) add(hash, endpoint);
}

}  // namespace

uint64_t content_part(const Cluster& cluster) {
  Hash hash;
  add(hash, cluster);
  return hash.value();
}

uint64_t content_part(const Listener& listener) {
  Hash hash;
  add(hash, listener);
  return hash.value();
}

ContentSum content_sum(const Snapshot& snapshot) {
  Hash rest;
  rest << snapshot.mesh.access_log_file << snapshot.mesh.access_log_format
       << static_cast<uint64_t>(snapshot.mesh.access_log_encoding)
       << number_or_none(snapshot.mesh.protocol_detection_timeout) << snapshot.egress.block_all;
  for (const auto* list : {&snapshot.egress.permit, &snapshot.egress.block}) {
    rest << list->size();
    for (const Prefix& prefix : *list) rest << prefix;
  }
  ContentSum sum;
  sum.add(rest.value());
  for (const auto& listener : snapshot.listeners) sum.add(content_part(*listener));
  for (const auto& [name, cluster] : snapshot.clusters) sum.add(content_part(*cluster));
  return sum;
}

std::string ContentSum::version() const { return fmt::format("{:016x}", sum_); }

}  // namespace sockmesh::model

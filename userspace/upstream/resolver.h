// Resolver: keeps the NameCache fresh for the names that clusters need, with c-ares on the loop of the
// configuration thread. Each family of addresses that the pod has is asked for by itself, because one may
// fail where the other is answered. An answer is asked for again when its TTL ends (at least 1 s, at most an
// hour); after an empty one, or none, with growing pauses up to the cluster's dns_refresh. What an answer
// changes, and what a failure does not, is in name_cache.h. At most 64 names are being looked up at a time.
// Loop thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "event/loop.h"
#include "model/snapshot.h"
#include "net/network_namespace.h"
#include "upstream/name_cache.h"

namespace sockmesh::upstream {

struct ResolverOptions {
  std::string resolv_conf;  // "" for /etc/resolv.conf
  std::string servers;      // "127.0.0.1:5353,..." instead of those of resolv.conf; "" for those
  // How long a server's answer is waited for, doubled with each of three tries: 14 s in all.
  std::chrono::milliseconds patience{2000};
  net::NetworkNamespace network = {};  // from where the servers are asked
};

struct NameFamilies {
  bool v4 = true, v6 = true;  // addresses of other families are left out: nothing could reach them
};

// Every name that a DNS cluster of the snapshot needs, with how often to ask again after a failure.
std::map<std::string, Duration> names_of(const model::Snapshot& snapshot);
// The families of the proxy's own addresses, both when it has none.
NameFamilies families_of(const model::Snapshot& snapshot);

// When to ask again after a good answer whose smallest TTL is `ttl` (0: unknown, then `refresh`).
Duration refresh_after(std::chrono::seconds ttl, Duration refresh);
// When to ask again after `in_vain` lookups in a row that brought no address.
Duration retry_after(uint32_t in_vain, Duration refresh);
// When to ask again after this lookup, which led to `answer`.
Duration next_lookup(const Lookup& lookup, const NameAnswer& answer, Duration refresh);

class Resolver {
 public:
  // `changed` is called after an answer that differs from the one before.
  static Result<std::unique_ptr<Resolver>> create(event::Loop& loop, NameCache& cache,
                                                  const ResolverOptions& options,
                                                  std::function<void()> changed);
  ~Resolver();

  // From now on these names and no others.
  void want(const std::map<std::string, Duration>& names, NameFamilies families);

 private:
  class Impl;
  explicit Resolver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::upstream

// Resolver: keeps the NameCache fresh for the names that clusters need, with c-ares on the loop of the
// configuration thread. An answer is asked for again when its TTL ends (at least 1 s, at most an hour), after
// a failure with growing pauses up to the cluster's dns_refresh; the last good answer stays in force
// meanwhile. At most 64 lookups are in flight. Loop thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "event/loop.h"
#include "model/snapshot.h"
#include "upstream/name_cache.h"

namespace sockmesh::upstream {

struct ResolverOptions {
  std::string resolv_conf;  // "" for /etc/resolv.conf
  std::string servers;      // "127.0.0.1:5353,..." instead of those of resolv.conf; "" for those
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
// When to ask again after `failures` failed lookups in a row.
Duration retry_after(uint32_t failures, Duration refresh);

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

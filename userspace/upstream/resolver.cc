#include "upstream/resolver.h"

#include <ares.h>
#include <netdb.h>

#include <algorithm>
#include <deque>
#include <set>

#include "event/watched_fd.h"

namespace sockmesh::upstream {

namespace {

using std::chrono::seconds;

constexpr size_t kMaxInFlight = 64;
constexpr int kTryMilliseconds = 2000;  // per server and try
constexpr int kTries = 3;

Result<void> initialize_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS) return fail("c-ares: {}", ares_strerror(status));
  return {};
}

}  // namespace

std::map<std::string, Duration> names_of(const model::Snapshot& snapshot) {
  std::map<std::string, Duration> names;
  for (const auto& [cluster_name, cluster] : snapshot.clusters) {
    for (const model::Endpoint& endpoint : cluster->endpoints) {
      const auto* host = std::get_if<model::HostName>(&endpoint.address);
      if (host == nullptr) continue;
      const auto [entry, added] = names.try_emplace(host->name, cluster->dns_refresh);
      if (!added) entry->second = std::min(entry->second, cluster->dns_refresh);
    }
  }
  return names;
}

NameFamilies families_of(const model::Snapshot& snapshot) {
  if (snapshot.self_ips.empty()) return {};
  const auto any = [&](auto member) {
    return std::any_of(snapshot.self_ips.begin(), snapshot.self_ips.end(),
                       [&](const IpAddress& ip) { return (ip.*member)(); });
  };
  return {any(&IpAddress::is_v4), any(&IpAddress::is_v6)};
}

Duration refresh_after(seconds ttl, Duration refresh) {
  if (ttl.count() <= 0) return std::max<Duration>(refresh, seconds(1));
  return std::clamp<Duration>(ttl, seconds(1), seconds(3600));
}

Duration retry_after(uint32_t failures, Duration refresh) {
  const Duration pause = seconds(1) * (1 << std::min(failures > 0 ? failures - 1 : 0, 12u));
  return std::min(pause, std::max<Duration>(refresh, seconds(1)));
}

class Resolver::Impl {
 public:
  Impl(event::Loop& loop, NameCache& cache, std::function<void()> changed)
      : loop_(loop), cache_(cache), changed_(std::move(changed)), timeouts_(loop.timer([this] {
          ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
          arm();
        })) {}

  ~Impl() {
    if (channel_ == nullptr) return;
    destroying_ = true;
    ares_destroy(channel_);  // calls back for every lookup in flight
  }

  Result<void> open(const ResolverOptions& options) {
    SOCKMESH_CHECK(initialize_library());
    ares_options wanted{};
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    wanted.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
      static_cast<Impl*>(self)->watch_socket(fd, readable != 0, writable != 0);
    };
    wanted.sock_state_cb_data = this;
    wanted.timeout = kTryMilliseconds;
    wanted.tries = kTries;
    std::string path = options.resolv_conf;
    if (!path.empty()) {
      wanted.resolvconf_path = path.data();
      mask |= ARES_OPT_RESOLVCONF;
    }
    if (const int status = ares_init_options(&channel_, &wanted, mask); status != ARES_SUCCESS)
      return fail("c-ares: {}", ares_strerror(status));
    if (options.servers.empty()) return {};
    if (const int status = ares_set_servers_ports_csv(channel_, options.servers.c_str());
        status != ARES_SUCCESS)
      return fail("DNS servers '{}': expected a comma list of addresses with ports ({})", options.servers,
                  ares_strerror(status));
    return {};
  }

  void want(const std::map<std::string, Duration>& names, NameFamilies families) {
    const bool all_anew = families.v4 != families_.v4 || families.v6 != families_.v6;
    families_ = families;
    std::set<std::string> kept;
    std::erase_if(names_, [&](const auto& entry) { return !names.contains(entry.first); });
    for (const auto& [name, refresh] : names) {
      kept.insert(name);
      const auto [entry, added] = names_.try_emplace(name);
      entry->second.refresh = refresh;
      if (added) entry->second.timer = loop_.timer([this, key = name] { ask(key); });
      if (added || all_anew) ask(name);
    }
    cache_.keep_only(kept);
  }

 private:
  struct Name {
    Duration refresh{};
    uint32_t failures = 0;  // in a row
    std::unique_ptr<event::Timer> timer;
  };
  struct Question {
    Impl* resolver;
    std::string name;
  };

  void ask(const std::string& name) {
    if (std::find(queue_.begin(), queue_.end(), name) == queue_.end()) queue_.push_back(name);
    work_off();
  }

  void work_off() {
    while (in_flight_ < kMaxInFlight && !queue_.empty()) {
      const std::string name = std::move(queue_.front());
      queue_.pop_front();
      if (!names_.contains(name)) continue;
      ares_addrinfo_hints hints{};
      hints.ai_family = families_.v4 && families_.v6 ? AF_UNSPEC : families_.v6 ? AF_INET6 : AF_INET;
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = ARES_AI_NOSORT;
      ++in_flight_;
      ares_getaddrinfo(
          channel_, name.c_str(), nullptr, &hints,
          [](void* question, int status, int, ares_addrinfo* found) {
            const std::unique_ptr<Question> asked(static_cast<Question*>(question));
            asked->resolver->answered(asked->name, status, found);
          },
          new Question{this, name});
    }
    arm();
  }

  void answered(const std::string& name, int status, ares_addrinfo* found) {
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owner(found, ares_freeaddrinfo);
    --in_flight_;
    if (destroying_) return;
    const auto entry = names_.find(name);
    if (entry != names_.end()) {
      const uint64_t before = cache_.version();
      entry->second.timer->set(status == ARES_SUCCESS ? take(entry->first, entry->second, *found)
                                                      : give_up(entry->first, entry->second, status));
      if (cache_.version() != before) changed_();
    }
    // Not from within c-ares: a lookup that fails at once would call back here again and again.
    if (!queue_.empty())
      loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
        if (alive.lock()) work_off();
      });
  }

  // Both return when to ask again.
  Duration take(const std::string& name, Name& state, const ares_addrinfo& found) {
    std::vector<IpAddress> addresses;
    int ttl = 0;
    for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
      const auto address = SocketAddress::from(node->ai_addr, node->ai_addrlen);
      if (!address) continue;
      if (std::find(addresses.begin(), addresses.end(), address->ip) == addresses.end())
        addresses.push_back(address->ip);
      if (node->ai_ttl > 0) ttl = ttl == 0 ? node->ai_ttl : std::min(ttl, node->ai_ttl);
    }
    state.failures = 0;
    cache_.answered(name, std::move(addresses));
    return refresh_after(seconds(ttl), state.refresh);
  }
  Duration give_up(const std::string& name, Name& state, int status) {
    cache_.failed(name, ares_strerror(status));
    return retry_after(++state.failures, state.refresh);
  }

  void watch_socket(ares_socket_t fd, bool readable, bool writable) {
    if (!readable && !writable) {
      watches_.erase(fd);
      return;
    }
    const uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    if (const auto known = watches_.find(fd); known != watches_.end())
      return known->second.set_events(events);
    auto own = event::WatchedFd::duplicate(fd);
    if (!own) return;  // out of descriptors: c-ares tries again when the time for an answer is over
    watches_.emplace(fd, std::move(*own)).first->second.watch(loop_, events, [this, fd](uint32_t ready) {
      const bool broken = (ready & (EPOLLERR | EPOLLHUP)) != 0;
      ares_process_fd(channel_, broken || (ready & EPOLLIN) ? fd : ARES_SOCKET_BAD,
                      (ready & EPOLLOUT) ? fd : ARES_SOCKET_BAD);
      arm();
    });
  }

  // c-ares retries by itself, if somebody tells it that time has passed.
  void arm() {
    timeval storage{};
    const timeval* next = ares_timeout(channel_, nullptr, &storage);
    if (next == nullptr) return timeouts_->cancel();
    timeouts_->set(seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec) +
                   std::chrono::milliseconds(1));
  }

  event::Loop& loop_;
  NameCache& cache_;
  const std::function<void()> changed_;
  std::unique_ptr<event::Timer> timeouts_;
  ares_channel channel_ = nullptr;
  bool destroying_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for posted work that may come too late

  NameFamilies families_;
  std::map<std::string, Name> names_;
  std::deque<std::string> queue_;  // names to ask for; each at most once
  size_t in_flight_ = 0;
  std::map<ares_socket_t, event::WatchedFd> watches_;  // duplicates: c-ares closes its sockets by itself
};

Result<std::unique_ptr<Resolver>> Resolver::create(event::Loop& loop, NameCache& cache,
                                                   const ResolverOptions& options,
                                                   std::function<void()> changed) {
  auto impl = std::make_unique<Impl>(loop, cache, std::move(changed));
  SOCKMESH_CHECK(impl->open(options));
  return std::unique_ptr<Resolver>(new Resolver(std::move(impl)));
}

Resolver::Resolver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Resolver::~Resolver() = default;

void Resolver::want(const std::map<std::string, Duration>& names, NameFamilies families) {
  impl_->want(names, families);
}

}  // namespace sockmesh::upstream

#include "upstream/resolver.h"

#include <ares.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>

#include "event/watched_fd.h"

namespace sockmesh::upstream {

namespace {

using std::chrono::seconds;
using Outcome = FamilyLookup::Outcome;

constexpr size_t kMaxInFlight = 64;
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

Duration retry_after(uint32_t in_vain, Duration refresh) {
  const Duration pause = seconds(1) * (1 << std::min(in_vain > 0 ? in_vain - 1 : 0, 12u));
  return std::min(pause, std::max<Duration>(refresh, seconds(1)));
}

Duration next_lookup(const Lookup& lookup, const NameAnswer& answer, Duration refresh) {
  if (answer.state != NameState::kAnswered) return retry_after(answer.in_vain, refresh);
  seconds ttl{0};
  for (const FamilyLookup* family : {&lookup.v4, &lookup.v6})
    if (family->ttl.count() > 0) ttl = ttl.count() == 0 ? family->ttl : std::min(ttl, family->ttl);
  return refresh_after(ttl, refresh);
}

class Resolver::Impl {
 public:
  Impl(event::Loop& loop, NameCache& cache, std::function<void()> changed)
      : loop_(loop),
        cache_(cache),
        changed_(std::move(changed)),
        timeouts_(loop.timer([this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); })) {}

  ~Impl() {
    if (channel_ == nullptr) return;
    destroying_ = true;
    ares_destroy(channel_);  // calls back for every lookup in flight
  }

  Result<void> open(const ResolverOptions& options) {
    SOCKMESH_CHECK(initialize_library());
    network_ = options.network;
    ares_options wanted{};
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    wanted.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
      static_cast<Impl*>(self)->watch_socket(fd, readable != 0, writable != 0);
    };
    wanted.sock_state_cb_data = this;
    wanted.timeout = static_cast<int>(options.patience.count());
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
    std::unique_ptr<event::Timer> timer;
  };
  // A name that is being looked up: one question a family.
  struct Asked {
    std::string name;
    Lookup lookup;
  };
  struct Question {
    Impl* resolver;
    std::shared_ptr<Asked> asked;
    bool v6;
  };

  void ask(const std::string& name) {
    if (std::find(queue_.begin(), queue_.end(), name) == queue_.end()) queue_.push_back(name);
    work_off();
  }

  void work_off() {
    while (in_flight_ < kMaxInFlight && !queue_.empty()) {
      const std::string name = std::move(queue_.front());
      queue_.pop_front();
      if (names_.contains(name)) look_up(name);
    }
    arm();
  }

  void look_up(const std::string& name) {
    ++in_flight_;
    auto asked = std::make_shared<Asked>();
    asked->name = name;
    if (families_.v4) asked->lookup.v4.outcome = Outcome::kPending;
    if (families_.v6) asked->lookup.v6.outcome = Outcome::kPending;
    if (in_hosts_file(name, asked->lookup)) return ended(*asked);
    // Once the first is asked, the last word may come at any moment, from within c-ares too.
    const bool v4 = families_.v4, v6 = families_.v6;
    if (v4) put(asked, false);
    if (v6) put(asked, true);
  }

  // A name that the hosts file has is what the file says, in both families.
  bool in_hosts_file(const std::string& name, Lookup& lookup) {
    bool found = false;
    for (const bool v6 : {false, true}) {
      FamilyLookup& family = v6 ? lookup.v6 : lookup.v4;
      hostent* raw = nullptr;
      if (family.outcome != Outcome::kPending ||
          ares_gethostbyname_file(channel_, name.c_str(), v6 ? AF_INET6 : AF_INET, &raw) != ARES_SUCCESS)
        continue;
      const std::unique_ptr<hostent, decltype(&ares_free_hostent)> entry(raw, ares_free_hostent);
      for (char** one = entry->h_addr_list; *one != nullptr; ++one) {
        in_addr four{};
        in6_addr six{};
        std::memcpy(v6 ? static_cast<void*>(&six) : &four, *one, v6 ? sizeof six : sizeof four);
        family.addresses.push_back(v6 ? IpAddress::v6(six) : IpAddress::v4(four));
      }
      family.outcome = Outcome::kAddresses;
      found = true;
    }
    for (FamilyLookup* family : {&lookup.v4, &lookup.v6})
      if (found && family->outcome == Outcome::kPending) family->outcome = Outcome::kEmpty;
    return found;
  }

  void put(const std::shared_ptr<Asked>& asked, bool v6) {
    ares_addrinfo_hints hints{};
    hints.ai_family = v6 ? AF_INET6 : AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    const auto inside = network_.enter();
    if (!inside) return answered(*asked, v6, ARES_ECONNREFUSED, nullptr);
    ares_getaddrinfo(
        channel_, asked->name.c_str(), nullptr, &hints,
        [](void* question, int status, int, ares_addrinfo* found) {
          const std::unique_ptr<Question> owned(static_cast<Question*>(question));
          owned->resolver->answered(*owned->asked, owned->v6, status, found);
        },
        new Question{this, asked, v6});
  }

  void answered(Asked& asked, bool v6, int status, ares_addrinfo* found) {
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owner(found, ares_freeaddrinfo);
    if (destroying_) return;
    FamilyLookup& family = v6 ? asked.lookup.v6 : asked.lookup.v4;
    family = family_lookup(status, found, v6);
    const FamilyLookup& other = v6 ? asked.lookup.v4 : asked.lookup.v6;
    if (other.outcome != Outcome::kPending) return ended(asked);
    // Nobody waits for a family that may never be answered.
    if (family.outcome == Outcome::kAddresses && names_.contains(asked.name)) remember(asked);
  }

  // c-ares takes what addresses there are in an answer, whichever kind was asked for.
  static FamilyLookup family_lookup(int status, const ares_addrinfo* found, bool v6) {
    FamilyLookup family;
    for (const ares_addrinfo_node* node = found ? found->nodes : nullptr; node; node = node->ai_next) {
      const auto address = SocketAddress::from(node->ai_addr, node->ai_addrlen);
      if (!address || address->ip.is_v6() != v6) continue;
      if (std::find(family.addresses.begin(), family.addresses.end(), address->ip) == family.addresses.end())
        family.addresses.push_back(address->ip);
      const seconds ttl(node->ai_ttl);
      if (ttl.count() > 0) family.ttl = family.ttl.count() == 0 ? ttl : std::min(family.ttl, ttl);
    }
    const bool empty = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
    family.outcome = !family.addresses.empty() ? Outcome::kAddresses
                     : empty                   ? Outcome::kEmpty
                                               : Outcome::kFailed;
    if (family.outcome != Outcome::kAddresses)
      family.error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    return family;
  }

  NameAnswerPtr remember(const Asked& asked) {
    const uint64_t before = cache_.version();
    NameAnswerPtr answer = cache_.looked_up(asked.name, asked.lookup, loop_.now());
    if (cache_.version() != before) changed_();
    return answer;
  }

  void ended(const Asked& asked) {
    --in_flight_;
    if (const auto entry = names_.find(asked.name); entry != names_.end()) {
      const NameAnswerPtr answer = remember(asked);
      entry->second.timer->set(next_lookup(asked.lookup, *answer, entry->second.refresh));
    }
    // Not from within c-ares: a lookup that fails at once would call back here again and again.
    if (!queue_.empty())
      loop_.post([this, alive = std::weak_ptr<int>(alive_)] {
        if (alive.lock()) work_off();
      });
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
      process(broken || (ready & EPOLLIN) ? fd : ARES_SOCKET_BAD, (ready & EPOLLOUT) ? fd : ARES_SOCKET_BAD);
    });
  }

  // c-ares makes its sockets when it asks, and that may be in any of its calls.
  void process(ares_socket_t readable, ares_socket_t writable) {
    if (const auto inside = network_.enter()) ares_process_fd(channel_, readable, writable);
    arm();
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
  net::NetworkNamespace network_;
  const std::function<void()> changed_;
  std::unique_ptr<event::Timer> timeouts_;
  ares_channel channel_ = nullptr;
  bool destroying_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for posted work that may come too late

  NameFamilies families_;
  std::map<std::string, Name> names_;
  std::deque<std::string> queue_;                      // names to ask for; each at most once
  size_t in_flight_ = 0;                               // names
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

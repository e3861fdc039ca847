// The cases, one function each, in an order in which the first that fails says most.
#include "bpf/direct_self_test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/packet_mark.h"
#include "bpf/direct_events.h"
#include "bpf/direct_maps.h"
#include "bpf/direct_record.h"

namespace sockmesh::bpf {

namespace {

using Seen = Result<std::string>;
constexpr auto kPatience = std::chrono::seconds(1);  // for what the kernel does by itself
constexpr uint32_t kCluster = 1, kRoute = 1, kClusterLive = 1, kHostLive = 2;

SocketAddress loopback(bool ipv6, uint16_t port) { return {IpAddress::loopback(ipv6), port}; }

Result<Fd> listen_on_loopback(bool ipv6) {
  Fd fd(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(os_error("making a socket"));
  sockaddr_storage storage{};
  const socklen_t length = loopback(ipv6, 0).to_sockaddr(storage);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 || listen(fd.get(), 8) != 0)
    return fail(os_error("listening on loopback (is lo up?)"));
  return fd;
}

// 0, or errno.
int connect_to(const Fd& socket, const SocketAddress& to) {
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  return connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

Fd tcp(bool ipv6) { return Fd(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

bool readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

// An address of nobody (RFC 5737, RFC 3849) that no other agent tests with at this moment.
SocketAddress nobodys(bool ipv6) {
  uint16_t random[2] = {0x1234, 0x5678};
  (void)getrandom(random, sizeof random, GRND_NONBLOCK);
  const std::string text =
      ipv6 ? fmt::format("2001:db8::{:x}", random[0] | 1) : fmt::format("192.0.2.{}", 1 + random[0] % 254);
  return {IpAddress::parse(text).value(), static_cast<uint16_t>(random[1] | 0x8000)};
}

class Subject {
 public:
  static Result<std::unique_ptr<Subject>> make(const std::string& cgroup) {
    DirectMaps::Options options;
    options.sizes = {64, 64, 64, 64, 64, 64, 65536};
    options.proxy_uid = options.proxy_gid = std::nullopt;  // this process plays the application
    auto self = std::make_unique<Subject>();
    SOCKMESH_TRY(maps, DirectMaps::open(options));
    self->maps = std::move(maps);
    SOCKMESH_TRY(
        events,
        DirectEvents::open(
            *self->maps, [me = self.get()](const direct_record& one) { me->told.push_back(one); }, [] {}));
    self->events = std::move(events);
    SOCKMESH_CHECK(self->maps->attach(cgroup));
    return self;
  }

  // Decisions in which `asked` leads to `endpoint`, or to nobody.
  Result<void> lead(const SocketAddress& asked, std::optional<SocketAddress> endpoint) {
    DirectTable want;
    want.destinations[asked] = {DIRECT_ROUTE, kRoute, 0};
    want.routes[kRoute] = {{{kCluster, 1}}};
    DirectCluster& cluster = want.clusters[kCluster];
    cluster.live = kClusterLive;
    if (endpoint) cluster.hosts = {{*endpoint, 1, kHostLive}};
    SOCKMESH_CHECK(maps->apply(difference(in_force, want), ++generation));
    in_force = want;
    return maps->settle();
  }

  // The event of this kind, waited for.
  Result<direct_record> event(direct_record_kind kind) {
    const MonotonicTime deadline = monotonic_now() + kPatience;
    do {
      events->consume();
      const auto found =
          std::find_if(told.begin(), told.end(), [&](const auto& one) { return one.kind == kind; });
      if (found != told.end()) return *found;
    } while (readable(events->fd()) && monotonic_now() < deadline);
    return fail("nothing was told of it");
  }

  std::unique_ptr<DirectMaps> maps;
  std::unique_ptr<DirectEvents> events;
  std::vector<direct_record> told;
  DirectTable in_force;
  uint64_t generation = 0;
};

// A connection that was led to a listener of ours.
struct Led {
  SocketAddress asked;
  Fd listener, client, server;
};

Result<Led> lead_one(Subject& subject, bool ipv6) {
  Led led;
  led.asked = nobodys(ipv6);
  SOCKMESH_TRY(listener, listen_on_loopback(ipv6));
  led.listener = std::move(listener);
  const auto at = SocketAddress::local_of(led.listener.get());
  if (!at) return fail("a listener without an address");
  SOCKMESH_CHECK(subject.lead(led.asked, *at));
  led.client = tcp(ipv6);
  if (const int error = connect_to(led.client, led.asked); error != 0)
    return fail(os_error(fmt::format("connecting to {}", led.asked.to_string()), error));
  if (!readable(led.listener.get())) return fail("it went elsewhere");
  led.server = Fd(accept4(led.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return led;
}

// Leads one, exchanges bytes, ends it: everything that the lane does for a connection.
Seen carries(Subject& subject, bool ipv6) {
  SOCKMESH_TRY(led, lead_one(subject, ipv6));
  const auto peer = SocketAddress::peer_of(led.client.get());
  if (!peer || *peer != led.asked)
    return fail("getpeername() shows {}, expected {}", peer ? peer->to_string() : "nothing",
                led.asked.to_string());
  uint32_t mark = 0;
  socklen_t size = sizeof mark;
  getsockopt(led.client.get(), SOL_SOCKET, SO_MARK, &mark, &size);
  if (!kDirectMark.is_in(mark)) return fail("its mark is {:#x}", mark);
  const auto open = [&] { return subject.maps->live(kHostLive).open; };
  if (open() != 1) return fail("{} connections are counted, expected 1", open());
  SOCKMESH_TRY(flows, subject.maps->open_flows());
  if (flows.size() != 1) return fail("{} open flows are seen, expected 1", flows.size());

  const std::vector<char> bytes(1000);
  if (send(led.client.get(), bytes.data(), 1000, MSG_NOSIGNAL) != 1000 ||
      send(led.server.get(), bytes.data(), 500, MSG_NOSIGNAL) != 500)
    return fail(os_error("sending"));
  std::vector<char> into(1000);
  if (recv(led.server.get(), into.data(), 1000, MSG_WAITALL) != 1000 ||
      recv(led.client.get(), into.data(), 500, MSG_WAITALL) != 500)
    return fail("bytes are missing");
  subject.told.clear();
  led.client.reset();
  led.server.reset();
  SOCKMESH_TRY(ended, subject.event(DIRECT_ENDED));
  if (sent_bytes(ended) != 1000 || received_bytes(ended) != 500)
    return fail("{} and {} bytes were told, expected 1000 and 500", sent_bytes(ended), received_bytes(ended));
  if (open() != 0) return fail("{} connections are counted after it", open());
  return "led, shown as asked, counted and told to the byte";
}

Seen ipv4(Subject& subject) { return carries(subject, false); }

Seen ipv6(Subject& subject) {
  if (!listen_on_loopback(true)) return "no IPv6 here";
  return carries(subject, true);
}

Seen refusal(Subject& subject) {
  const SocketAddress asked = nobodys(false);
  SOCKMESH_CHECK(subject.lead(asked, std::nullopt));
  const int error = connect_to(tcp(false), asked);
  if (error != ECONNREFUSED) return fail("errno {}, expected ECONNREFUSED", error);
  SOCKMESH_TRY(told, subject.event(DIRECT_REFUSED));
  if (from_kernel(told.flow.asked) != asked) return fail("another address was told");
  return "at once, and told";
}

Seen left_alone(Subject& subject) {
  SOCKMESH_TRY(listener, listen_on_loopback(false));
  const auto at = SocketAddress::local_of(listener.get());
  const Fd client = tcp(false);
  if (!at || connect_to(client, *at) != 0) return fail(os_error("connecting to loopback"));
  uint32_t mark = 0;
  socklen_t size = sizeof mark;
  getsockopt(client.get(), SOL_SOCKET, SO_MARK, &mark, &size);
  if (kDirectMark.is_in(mark)) return fail("it was marked");
  return subject.maps->count(DIRECT_COUNT_LOCAL) > 0 ? Seen("neither changed nor marked")
                                                     : fail("not looked at");
}

struct Case {
  const char* name;
  Seen (*run)(Subject&);
};
constexpr Case kCases[] = {{"ipv4", ipv4}, {"ipv6", ipv6}, {"refusal", refusal}, {"left-alone", left_alone}};

}  // namespace

SelfTestReport run_direct_self_test(const std::string& cgroup) {
  SelfTestReport report;
  const auto add = [&](const char* name, MonotonicTime began, const Seen& seen) {
    report.verdicts.push_back(
        {name, seen.has_value(), seen ? *seen : seen.error().message, monotonic_now() - began});
  };
  const MonotonicTime began = monotonic_now();
  auto subject = Subject::make(cgroup);
  add("programs", began, subject ? Seen("loaded, and attached to " + cgroup) : fail(subject.error()));
  if (!subject) return report;
  for (const Case& one : kCases) add(one.name, monotonic_now(), one.run(**subject));
  return report;
}

}  // namespace sockmesh::bpf

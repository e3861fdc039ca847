// The resolver against a DNS server of our own on loopback.
#include "upstream/resolver.h"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>

#include "base/fd.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

// Answers A questions with `answer`'s addresses (empty: NXDOMAIN) and AAAA questions with nothing.
class DnsServer {
 public:
  using Answer = std::function<std::vector<IpAddress>(const std::string& name)>;
  explicit DnsServer(Answer answer, uint32_t ttl = 1) : answer_(std::move(answer)), ttl_(ttl) {
    socket_ = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = SocketAddress{IpAddress::loopback(false), 0}.to_sockaddr(storage);
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
    address_ = SocketAddress::local_of(socket_.get()).value();
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsServer() {
    stop_ = true;
    thread_.join();
  }
  std::string address() const { return address_.to_string(); }
  int questions() const { return questions_; }

 private:
  void serve() {
    while (!stop_) {
      pollfd one{socket_.get(), POLLIN, 0};
      if (poll(&one, 1, 10) != 1) continue;
      uint8_t query[512];
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      const ssize_t got =
          recvfrom(socket_.get(), query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 17) continue;
      ++questions_;
      const std::string reply =
          reply_to(std::string(reinterpret_cast<char*>(query), static_cast<size_t>(got)));
      sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }
  std::string reply_to(const std::string& query) const {
    std::string name;
    size_t at = 12;
    while (at < query.size() && query[at] != 0) {
      const auto label = static_cast<uint8_t>(query[at]);
      name += (name.empty() ? "" : ".") + query.substr(at + 1, label);
      at += label + 1u;
    }
    const std::string question = query.substr(12, at + 5 - 12);
    const bool wants_v4 = question[question.size() - 3] == 1;
    const auto addresses = answer_(name);
    std::string reply = query.substr(0, 2);
    reply += '\x81';
    reply += addresses.empty() ? '\x83' : '\x80';
    const char count = wants_v4 ? static_cast<char>(addresses.size()) : '\0';
    reply += std::string("\0\1\0", 3) + count + std::string(4, '\0') + question;
    for (char i = 0; i < count; ++i) {
      reply += std::string("\xc0\x0c\0\1\0\1", 6);
      for (const int shift : {24, 16, 8, 0}) reply += static_cast<char>(ttl_ >> shift);
      reply += std::string("\0\4", 2);
      reply.append(reinterpret_cast<const char*>(addresses[static_cast<size_t>(i)].bytes().data()), 4);
    }
    return reply;
  }

  const Answer answer_;
  const uint32_t ttl_;
  Fd socket_;
  SocketAddress address_;
  std::atomic<bool> stop_{false};
  std::atomic<int> questions_{0};
  std::thread thread_;
};

// A resolver on a loop of its own thread, as the agent's main thread has it.
struct Resolving {
  explicit Resolving(const DnsServer& server) {
    loop = std::move(*event::Loop::create(event::Backend::kEpoll));
    ResolverOptions options;
    options.servers = server.address();
    auto made = Resolver::create(*loop, names, options, [this] { ++changes; });
    REQUIRE(made);
    resolver = std::move(*made);
    thread = std::thread([this] { loop->run(); });
  }
  ~Resolving() {
    loop->post([this] {
      resolver.reset();
      loop->stop();
    });
    thread.join();
  }
  void want(std::map<std::string, Duration> wanted) {
    loop->post([this, wanted] { resolver->want(wanted, {true, false}); });
  }
  size_t addresses_of(const std::string& name) {
    const auto answer = names.find(name);
    return answer ? answer->addresses.size() : 99;
  }

  NameCache names;
  std::unique_ptr<event::Loop> loop;
  std::unique_ptr<Resolver> resolver;
  std::atomic<int> changes{0};
  std::thread thread;
};

}  // namespace

TEST_CASE("names are resolved, and again when their TTL ends") {
  std::atomic<uint32_t> hosts{1};
  const DnsServer server([&](const std::string&) {
    std::vector<IpAddress> addresses;
    for (uint32_t i = 0; i < hosts; ++i) addresses.push_back(IpAddress::v4(0x0a000001 + i));
    return addresses;
  });
  Resolving resolving(server);
  resolving.want({{"db.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
  hosts = 2;  // the TTL is a second
  EVENTUALLY(resolving.addresses_of("db.example.com") == 2);
  CHECK(resolving.changes >= 2);
}

TEST_CASE("the last good answer outlives a failure") {
  std::atomic<bool> broken{false};
  const DnsServer server([&](const std::string&) {
    return broken ? std::vector<IpAddress>{} : std::vector<IpAddress>{IpAddress::v4(0x0a000001)};
  });
  Resolving resolving(server);
  resolving.want({{"db.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
  broken = true;
  EVENTUALLY(!resolving.names.find("db.example.com")->error.empty());
  CHECK(resolving.addresses_of("db.example.com") == 1);
  broken = false;
  EVENTUALLY(resolving.names.find("db.example.com")->error.empty());
}

TEST_CASE("an unknown name has an answer too: none") {
  const DnsServer server([](const std::string&) { return std::vector<IpAddress>{}; });
  Resolving resolving(server);
  resolving.want({{"nowhere.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("nowhere.example.com") == 0);
  CHECK(resolving.changes == 1);
}

TEST_CASE("many names at once are all answered") {
  const DnsServer server([](const std::string&) { return std::vector<IpAddress>{IpAddress::v4(0x0a000001)}; },
                         3600);
  Resolving resolving(server);
  std::map<std::string, Duration> wanted;
  for (int i = 0; i < 300; ++i) wanted[fmt::format("host-{}.example.com", i)] = 60s;
  resolving.want(wanted);
  EVENTUALLY(resolving.names.all().size() == 300);
  resolving.want({});
  EVENTUALLY(resolving.names.all().empty());
}

// The resolver against a DNS server of our own on loopback.
#include "upstream/resolver.h"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <thread>

#include "base/fd.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

constexpr char kNoError = 0, kServerFailure = 2, kNameError = 3;

// What the server says to a question; no answer at all when silent.
struct Reply {
  Reply(std::vector<IpAddress> list) : addresses(std::move(list)) {  // NOLINT: as if it were the list
    if (addresses.empty()) code = kNameError;
  }
  Reply(char rcode, bool no_answer = false) : code(rcode), silent(no_answer) {}  // NOLINT
  std::vector<IpAddress> addresses;
  char code = kNoError;
  bool silent = false;
};
const Reply kSilence{kNoError, true};

// Answers a question with `answer`'s addresses of the family asked for, if any.
class DnsServer {
 public:
  using Answer = std::function<Reply(const std::string& name, bool v6)>;
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
      if (reply.empty()) continue;
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
    const bool v6 = question[question.size() - 3] == 28;
    const Reply answer = answer_(name, v6);
    if (answer.silent) return "";
    std::vector<IpAddress> addresses;
    for (const IpAddress& ip : answer.addresses)
      if (ip.is_v6() == v6) addresses.push_back(ip);
    std::string reply = query.substr(0, 2);
    reply += '\x81';
    reply += static_cast<char>('\x80' | answer.code);
    reply += std::string("\0\1\0", 3) + static_cast<char>(addresses.size()) + std::string(4, '\0') + question;
    for (const IpAddress& ip : addresses) {
      reply += std::string("\xc0\x0c\0", 3) + (v6 ? '\x1c' : '\1') + std::string("\0\1", 2);
      for (const int shift : {24, 16, 8, 0}) reply += static_cast<char>(ttl_ >> shift);
      const size_t size = v6 ? 16 : 4;
      reply += std::string(1, '\0') + static_cast<char>(size);
      reply.append(reinterpret_cast<const char*>(ip.bytes().data()), size);
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
  explicit Resolving(const DnsServer& server, std::chrono::milliseconds patience = 200ms) {
    loop = std::move(*event::Loop::create(event::Backend::kEpoll));
    ResolverOptions options;
    options.servers = server.address();
    options.patience = patience;
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
  void want(std::map<std::string, Duration> wanted, NameFamilies families = {true, false}) {
    loop->post([this, wanted, families] { resolver->want(wanted, families); });
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
  const DnsServer server([&](const std::string&, bool) {
    std::vector<IpAddress> addresses;
    for (uint32_t i = 0; i < hosts; ++i) addresses.push_back(IpAddress::v4(0x0a000001 + i));
    return addresses;
  });
  Resolving resolving(server);
  resolving.want({{"db.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
  hosts = 2;  // the TTL is a second
  EVENTUALLY(resolving.addresses_of("db.example.com") == 2);
  EVENTUALLY(resolving.changes >= 2);  // told after it is there to be read
}

TEST_CASE("a failure keeps the last answer, an empty answer is one") {
  const struct {
    Reply reply;
    NameState state;
    size_t addresses;
  } rows[] = {
      {kServerFailure, NameState::kFailing, 1},
      {kSilence, NameState::kFailing, 1},
      {kNoError, NameState::kEmpty, 0},
      {kNameError, NameState::kEmpty, 0},
  };
  const Reply good{std::vector<IpAddress>{IpAddress::v4(0x0a000001)}};
  for (const auto& row : rows) {
    CAPTURE(int{row.reply.code}, row.reply.silent);
    std::atomic<bool> broken{false};
    const DnsServer server([&](const std::string&, bool) { return broken ? row.reply : good; });
    Resolving resolving(server);
    resolving.want({{"db.example.com", 60s}});
    EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
    broken = true;
    EVENTUALLY(resolving.names.find("db.example.com")->state == row.state);
    CHECK(resolving.addresses_of("db.example.com") == row.addresses);
    CHECK_FALSE(resolving.names.find("db.example.com")->error.empty());
    broken = false;
    EVENTUALLY(resolving.names.find("db.example.com")->error.empty());
    CHECK(resolving.addresses_of("db.example.com") == 1);
  }
}

TEST_CASE("a family that fails neither loses its addresses nor holds up the other one") {
  const IpAddress four = IpAddress::v4(0x0a000001), six = IpAddress::parse("fd00::1").value();
  std::atomic<bool> broken{false}, moved{false};
  const Reply failure = GENERATE(Reply(kServerFailure), kSilence);
  CAPTURE(failure.silent);
  const DnsServer server([&](const std::string&, bool v6) -> Reply {
    if (v6 && broken) return failure;
    return std::vector<IpAddress>{moved ? IpAddress::v4(0x0a000002) : four, six};
  });
  Resolving resolving(server);
  resolving.want({{"db.example.com", 60s}}, {true, true});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 2);
  broken = true;
  EVENTUALLY(resolving.names.find("db.example.com")->error.starts_with("AAAA: "));
  moved = true;
  EVENTUALLY(resolving.names.find("db.example.com")->addresses ==
             std::vector<IpAddress>{IpAddress::v4(0x0a000002), six});
}

TEST_CASE("the first family that is answered can be dialled at once") {
  const DnsServer server([&](const std::string&, bool v6) -> Reply {
    return v6 ? kSilence : Reply(std::vector<IpAddress>{IpAddress::v4(0x0a000001)});
  });
  Resolving resolving(server, 1h);
  resolving.want({{"db.example.com", 60s}}, {true, true});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
  CHECK(resolving.names.find("db.example.com")->attempts == 0);  // the other one is still asked for
}

TEST_CASE("an unknown name has an answer too: none") {
  const DnsServer server([](const std::string&, bool) { return Reply(kNameError); });
  Resolving resolving(server);
  resolving.want({{"nowhere.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("nowhere.example.com") == 0);
  CHECK(resolving.changes == 1);
}

TEST_CASE("many names at once are all answered, and no more than 64 are asked for at a time") {
  // Silent until a name is asked for once more: by then all have been that are asked for at a time.
  std::set<std::string> asked;  // the server's thread
  std::atomic<size_t> at_a_time{0};
  const DnsServer server(
      [&](const std::string& name, bool) -> Reply {
        if (at_a_time > 0) return {std::vector<IpAddress>{IpAddress::v4(0x0a000001)}};
        if (!asked.insert(name).second) at_a_time = asked.size();
        return kSilence;
      },
      3600);
  Resolving resolving(server);
  std::map<std::string, Duration> wanted;
  for (int i = 0; i < 300; ++i) wanted[fmt::format("host-{}.example.com", i)] = 60s;
  resolving.want(wanted);
  EVENTUALLY(resolving.names.all().size() == 300);
  CHECK(at_a_time == 64);
  resolving.want({});
  EVENTUALLY(resolving.names.all().empty());
}

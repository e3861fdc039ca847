// The resolver against a DNS server of our own on loopback.
#include "upstream/resolver.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
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

// Bytes that arrive where an answer is expected.
struct Datagram {
  std::string bytes;
  bool from_elsewhere = false;  // not from the server that was asked
};
// What comes instead of the right answer.
using Forgery = std::function<std::vector<Datagram>(const std::string& right)>;

// What the server says to a question; no answer at all when silent.
struct Reply {
  Reply(std::vector<IpAddress> list) : addresses(std::move(list)) {  // NOLINT: as if it were the list
    if (addresses.empty()) code = kNameError;
  }
  Reply(char rcode, bool no_answer = false) : code(rcode), silent(no_answer) {}  // NOLINT
  std::vector<IpAddress> addresses;
  char code = kNoError;
  bool silent = false;
  bool both_families = false;  // whichever was asked for
  Forgery forged;
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
      for (const auto& [bytes, from_elsewhere] :
           reply_to(std::string(reinterpret_cast<char*>(query), static_cast<size_t>(got))))
        sendto((from_elsewhere ? elsewhere_ : socket_).get(), bytes.data(), bytes.size(), 0,
               reinterpret_cast<sockaddr*>(&from), length);
    }
  }
  std::vector<Datagram> reply_to(const std::string& query) const {
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
    if (answer.silent) return {};
    std::vector<IpAddress> addresses;
    for (const IpAddress& ip : answer.addresses)
      if (ip.is_v6() == v6 || answer.both_families) addresses.push_back(ip);
    std::string reply = query.substr(0, 2);
    reply += '\x81';
    reply += static_cast<char>('\x80' | answer.code);
    reply += std::string("\0\1\0", 3) + static_cast<char>(addresses.size()) + std::string(4, '\0') + question;
    for (const IpAddress& ip : addresses) {
      reply += std::string("\xc0\x0c\0", 3) + (ip.is_v6() ? '\x1c' : '\1') + std::string("\0\1", 2);
      for (const int shift : {24, 16, 8, 0}) reply += static_cast<char>(ttl_ >> shift);
      const size_t size = ip.is_v6() ? 16 : 4;
      reply += std::string(1, '\0') + static_cast<char>(size);
      reply.append(reinterpret_cast<const char*>(ip.bytes().data()), size);
    }
    if (answer.forged) return answer.forged(reply);
    return {{reply}};
  }

  const Answer answer_;
  const uint32_t ttl_;
  Fd socket_;
  const Fd elsewhere_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  SocketAddress address_;
  std::atomic<bool> stop_{false};
  std::atomic<int> questions_{0};
  std::thread thread_;
};

// What is like a right answer of one A record, but for one thing.
struct Lie {
  const char* what;
  std::string (*of)(std::string right);
};
constexpr size_t kRecord = 16;  // the record's bytes, the last ones, of which the last 4 are the address

// No answers to what was asked.
const Lie kAstray[] = {
    {"another id", [](std::string right) { return right[0] ^= 1, right; }},
    {"another name was asked for", [](std::string right) { return right[13] ^= 1, right; }},
    {"another type was asked for",
     [](std::string right) { return right[right.size() - kRecord - 3] = 15, right; }},
    {"nothing was asked for", [](std::string right) { return right[5] = 0, right; }},
    {"half a header", [](std::string right) { return right.substr(0, 6); }},
    {"noise", [](std::string right) { return right.substr(0, 2) + std::string(300, '\xa5'); }},
};
// Answers that cannot be read.
const Lie kUnreadable[] = {
    {"no byte at all", [](std::string) { return std::string(); }},
    {"one byte is missing", [](std::string right) { return right.pop_back(), right; }},
    {"more records than there are", [](std::string right) { return right[6] = '\xff', right; }},
    {"an address of 5 bytes", [](std::string right) { return right[right.size() - 5] = 5, right; }},
    {"a name that points at itself",
     [](std::string right) {
       return right[right.size() - 15] = static_cast<char>(right.size() - 16), right;
     }},
    {"a name behind the end", [](std::string right) { return right[right.size() - 15] = '\xff', right; }},
    {"it has to be asked for by TCP, where nobody is",
     [](std::string right) { return right[2] |= 2, right; }},
    {"longer than it may be", [](std::string right) { return right + std::string(4000, 'x'); }},
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

TEST_CASE("an answer to something else, or one that cannot be read, keeps the last good one") {
  const IpAddress good = IpAddress::v4(0x0a000001), forged = IpAddress::v4(0x0a424242);
  std::map<std::string, Lie> lies;
  for (const Lie& lie : kAstray) lies[fmt::format("lie-{}.example.com", lies.size())] = lie;
  for (const Lie& lie : kUnreadable) lies[fmt::format("lie-{}.example.com", lies.size())] = lie;
  std::atomic<bool> lying{false};
  const DnsServer server([&](const std::string& name, bool) {
    Reply reply(std::vector<IpAddress>{lying ? forged : good});
    if (lying)
      reply.forged = [&lie = lies.at(name)](const std::string& right) {
        return std::vector<Datagram>{{lie.of(right)}};
      };
    return reply;
  });
  Resolving resolving(server);
  std::map<std::string, Duration> wanted;
  for (const auto& [name, lie] : lies) wanted[name] = 60s;
  resolving.want(wanted);
  const auto all_are = [&](NameState state) {
    return std::ranges::all_of(lies, [&](const auto& entry) {
      const auto known = resolving.names.find(entry.first);
      INFO(entry.second.what);
      if (known) CHECK(known->addresses == std::vector<IpAddress>{good});
      return known && known->state == state;
    });
  };
  EVENTUALLY(all_are(NameState::kAnswered));
  lying = true;
  EVENTUALLY(all_are(NameState::kFailing));
  lying = false;
  EVENTUALLY(all_are(NameState::kAnswered));
}

TEST_CASE("the right answer is taken behind any number of answers to something else, and of strangers") {
  const IpAddress good = IpAddress::v4(0x0a000001);
  const auto behind_lies = [](const std::string& right) {
    const std::string forged = right.substr(0, right.size() - 4) + "BBBB";
    std::vector<Datagram> all{{forged, /*from_elsewhere=*/true}};
    for (const Lie& lie : kAstray) all.push_back({lie.of(forged)});
    all.push_back({right});
    return all;
  };
  const DnsServer server([&](const std::string&, bool) {
    Reply reply(std::vector<IpAddress>{good});
    reply.forged = behind_lies;
    return reply;
  });
  Resolving resolving(server, 1h);  // and so no question is asked twice
  resolving.want({{"db.example.com", 60s}});
  EVENTUALLY(resolving.addresses_of("db.example.com") == 1);
  EVENTUALLY(resolving.names.find("db.example.com")->attempts >= 2);
  CHECK(resolving.names.find("db.example.com")->addresses == std::vector<IpAddress>{good});
  CHECK(resolving.names.find("db.example.com")->failures == 0);
  CHECK(resolving.changes == 1);
}

TEST_CASE("of an answer only addresses of the kind that was asked for are taken") {
  const IpAddress four = IpAddress::v4(0x0a000001), six = IpAddress::parse("fd00::1").value();
  const struct {
    NameFamilies families;
    std::vector<IpAddress> sent, taken;
  } rows[] = {
      {{true, false}, {four, six}, {four}},
      {{false, true}, {four, six}, {six}},
      {{true, true}, {four, six}, {four, six}},
      {{true, false}, {six}, {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.families.v4, row.families.v6, row.sent.size());
    const DnsServer server([&](const std::string&, bool) {
      Reply reply(row.sent);
      reply.both_families = true;
      return reply;
    });
    Resolving resolving(server);
    resolving.want({{"db.example.com", 60s}}, row.families);
    const auto known = [&] { return resolving.names.find("db.example.com"); };
    EVENTUALLY((known() && known()->attempts > 0));
    CHECK(known()->addresses == row.taken);
    CHECK(known()->state == (row.taken.empty() ? NameState::kEmpty : NameState::kAnswered));
  }
}

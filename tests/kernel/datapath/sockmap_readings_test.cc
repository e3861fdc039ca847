// Between two readings of the kernel anything may have happened: each case puts an event there that a busy
// machine makes once in a thousand flows, and looks at the bytes.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "datapath/socket_bounds.h"
#include "datapath/sockmap_direction.h"
#include "datapath/sockmap_insertion.h"
#include "held_queue.h"
#include "sockmap_world.h"
#include "test_support/eventually.h"
#include "test_support/kernel_readings.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::Side;
using Step = datapath::SockmapDirection::Step;

namespace {

constexpr size_t kRedirected = 200'000;

// The direction from client to server at the moment where order is at stake, held still:
//
//   client --> downstream [verdict] --> backlog --> upstream's send queue --> server, who does not read
//              PASSed, or FIN           "AAA"       lane 0's bytes, unacknowledged
//
// The upstream takes no more from the backlog's worker until release().
class HeldBacklog {
 public:
  HeldBacklog(bpf::SpliceMaps& maps, bool ipv6) {
    auto legs = SockmapWorld::connect(ipv6);
    client_ = std::move(legs.client);
    server_ = std::move(legs.server);
    sockets_ = std::move(legs.sockets);
    fill_send_queue(upstream(), server_);
    auto inserted = datapath::insert_into_sockmap(maps, sockets_, SPLICE_NO_RING, true);
    REQUIRE(inserted);
    REQUIRE(inserted->copied_because.empty());
    inserted_.emplace(std::move(*inserted));
    direction_.emplace(pair(), Side::kDownstream, sockets_.downstream.get(), upstream());
    put(client_.get(), "a");  // so that the verdict has looked at the target, and has credit for more
    EVENTUALLY(pair().counters(Side::kDownstream).redirected == 1);
    EVENTUALLY(direction_->backlog() == 0);
    keep_worker_out(upstream());
    put(client_.get(), std::string(kRedirected, 'A'));
    EVENTUALLY(pair().counters(Side::kDownstream).redirected == 1 + kRedirected);
    // All but what the last segment of the send queue has room for.
    REQUIRE(direction_->backlog() >= kRedirected - 65'536);
  }
  ~HeldBacklog() {
    direction_.reset();
    sockets_ = {};  // before their slots
  }

  bpf::SplicePair& pair() { return inserted_->pair; }
  datapath::SockmapDirection& direction() { return *direction_; }
  const Fd& client() { return client_; }
  const Fd& downstream() { return sockets_.downstream; }
  Step advance() { return direction_->advance(scratch_); }
  // From here on it PASSes: disarmed, and nothing may be redirected beyond the usual bounds either.
  void copy_from_here() {
    set_option(upstream(), SOL_SOCKET, SO_SNDBUF, 4096);
    pair().disarm();
  }
  void release() {
    set_option(upstream(), SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
    datapath::wake_writer(upstream());
  }

  // The server reads, and so acknowledges, a part of what lane 0 had sent.
  void acknowledge_some() {
    const size_t goal = received_.size() + 200'000;
    REQUIRE(goal < kLane0Bytes);
    REQUIRE(eventually([&] {
      read();
      return received_.size() >= goal;
    }));
  }
  // Goes on as the flow would, until the server has `bytes` of what came behind lane 0's. What it got.
  std::string finish(size_t bytes) {
    (void)eventually([&] {
      advance();
      read();
      return received_.size() >= kLane0Bytes + bytes;
    });
    return received_.substr(kLane0Bytes);
  }
  bool server_sees_end() {
    pollfd fd{server_.get(), POLLIN, 0};
    char byte;
    return poll(&fd, 1, static_cast<int>(patient(std::chrono::seconds(10)).count())) == 1 &&
           recv(server_.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

 private:
  int upstream() const { return sockets_.upstream.get(); }
  void read() {
    char bytes[65536];
    for (ssize_t n; (n = recv(server_.get(), bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
      received_.append(bytes, static_cast<size_t>(n));
  }

  Fd client_, server_;
  std::optional<datapath::Inserted> inserted_;
  datapath::Pair sockets_;
  std::optional<datapath::SockmapDirection> direction_;
  std::vector<char> scratch_ = std::vector<char>(256 * 1024);
  std::string received_;
};

std::unique_ptr<bpf::SpliceMaps> load_maps() {
  auto maps = bpf::SpliceMaps::load({.slots = 1024});
  REQUIRE(maps);
  return std::move(*maps);
}

// "a1 A200000": what a failure can show.
std::string runs(const std::string& bytes) {
  std::string text;
  for (size_t begin = 0, end; begin < bytes.size(); begin = end) {
    end = std::min(bytes.find_first_not_of(bytes[begin], begin), bytes.size());
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", bytes[begin], end - begin);
  }
  return text;
}

}  // namespace

TEST_CASE("bytes that were PASSed stay behind the backlog, whatever is acknowledged meanwhile") {
  const bool ipv6 = GENERATE(false, true);
  const auto maps = load_maps();
  HeldBacklog flow(*maps, ipv6);
  flow.copy_from_here();
  put(flow.client().get(), std::string(1000, 'B'));
  EVENTUALLY(flow.pair().counters(Side::kDownstream).passed == 1000);

  before_next(Reading::kSendQueue, [&] { flow.acknowledge_some(); });
  CHECK(flow.advance() == Step::kSoon);  // and so did not try to write
  CHECK_FALSE(event_waits());
  CHECK(flow.direction().copied() == 0);

  flow.release();
  CHECK(runs(flow.finish(1 + kRedirected + 1000)) == "a1 A200000 B1000");
}

TEST_CASE("FIN stays behind the backlog, whatever is acknowledged meanwhile") {
  const bool ipv6 = GENERATE(false, true);
  const auto maps = load_maps();
  HeldBacklog flow(*maps, ipv6);
  shutdown(flow.client().get(), SHUT_WR);
  pollfd end{flow.downstream().get(), POLLRDHUP, 0};
  REQUIRE(poll(&end, 1, 10'000) == 1);
  flow.direction().source_has_ended();

  before_next(Reading::kSendQueue, [&] { flow.acknowledge_some(); });
  CHECK(flow.advance() == Step::kSoon);
  CHECK_FALSE(event_waits());
  CHECK_FALSE(flow.direction().ended());

  flow.release();
  CHECK(runs(flow.finish(1 + kRedirected)) == "a1 A200000");
  EVENTUALLY(flow.advance() == Step::kEnded);
  CHECK(flow.server_sees_end());
}

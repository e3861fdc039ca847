// Signposts: listeners that tell whoever connects where it ended up and where it was meant to go, so that a
// test of capture is one question and one answer. And the question itself, asked as any user.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/fd.h"
#include "test_support/netns.h"

namespace sockmesh::test {

// Listeners in one namespace, on all its addresses of both families, each with a name. A TCP connection that
// says anything is answered with "NAME DESTINATION from CLIENT": DESTINATION is what the client asked for,
// before any redirection. A UDP packet is answered with "NAME".
class Signposts {
 public:
  // `uid` and `gid` own the sockets: the agent's matter to the rules.
  explicit Signposts(const Netns& netns, uint32_t uid = 0, uint32_t gid = 0)
      : netns_(netns), uid_(uid), gid_(gid) {}
  Signposts(const Signposts&) = delete;
  Signposts& operator=(const Signposts&) = delete;
  ~Signposts();

  Signposts& tcp(const std::string& name, uint16_t port);
  Signposts& udp(const std::string& name, uint16_t port);
  // UDP on the loopback addresses only, so that answers come from the address the question was redirected to.
  Signposts& loopback_udp(const std::string& name, uint16_t port);
  // A transparent proxy: takes connections whatever their destination, and makes its own to that destination
  // from the client's address, marked. What the application answers is passed on; then the client is reset.
  Signposts& transparent_proxy(uint16_t port, uint32_t mark);
  void start();

  uint64_t answered() const { return answered_; }  // questions so far

 private:
  struct Post {
    std::string name;
    Fd fd;
    bool stream = true;
    std::optional<uint32_t> proxy_mark;
  };
  void add(const std::string& name, uint16_t port, int type, std::optional<uint32_t> proxy_mark,
           bool loopback = false);
  void serve();
  void answer(const Post& post);
  void relay(const Fd& accepted, uint32_t mark);

  const Netns& netns_;
  const uint32_t uid_, gid_;
  std::vector<Post> posts_;
  Fd stop_;
  std::atomic<uint64_t> answered_ = 0;
  std::thread thread_;
};

struct Question {
  SocketAddress to;
  uint32_t uid = 1000;
  uint32_t gid = 1000;
  std::optional<IpAddress> from;  // source address to bind to
  uint16_t from_port = 0;         // and port; 0: any
  bool udp = false;
  uint32_t mark = 0;  // of the socket, which is root's then; 0: none
};

// The answer, or why there is none: "refused", "no answer".
std::string ask(const Netns& netns, const Question& question);

}  // namespace sockmesh::test

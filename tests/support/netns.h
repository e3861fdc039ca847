// Network namespaces for tests: Netns is one, PodNetwork is a node with pods, each a namespace with one
// interface on the node's bridge. Gone when the object is. Names hold the test's process id, and the first
// namespace a test process makes removes what killed test processes left. Needs root. Not thread-safe, except
// run().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "test_support/process.h"

namespace sockmesh::test {

class Netns {
 public:
  explicit Netns(const std::string& hint);  // with lo up; throws std::runtime_error
  Netns(const Netns&) = delete;
  Netns& operator=(const Netns&) = delete;
  ~Netns();  // kills what still runs in it

  const std::string& name() const { return name_; }  // as ip(8) knows it
  int fd() const { return fd_.get(); }
  // Runs `work` on a thread of its own inside the namespace; sockets it makes stay there. Exceptions pass on.
  void run(const std::function<void()>& work) const;
  void ip(const std::string& commands) const;  // ip(8) batch lines, in the namespace
  void set_sysctl(const std::string& path, const std::string& value) const;  // "net/ipv4/ip_forward"

 private:
  std::string name_;
  Fd fd_;
};

// Removes namespaces named for test processes that are no more ("smtest-123-4-web" of process 123), and kills
// what runs in them. The first Netns of a process does it.
void remove_leftover_namespaces();

struct Pod {
  Pod(const std::string& name, const IpAddress& v4_address, const IpAddress& v6_address)
      : netns(name), v4(v4_address), v6(v6_address) {}
  Netns netns;
  IpAddress v4;
  IpAddress v6;
  SocketAddress at(uint16_t port, bool ipv6 = false) const { return {ipv6 ? v6 : v4, port}; }
};

// Pods are routed, as most clusters do it: a pod has its addresses alone (/32, /128) and one neighbour, the
// node, which has a veth and routes to each pod:
//
//   pod a --- veth --- node --- veth --- pod b
//
// Addresses no pod has, those of services above all, end at the node: unreachable.
class PodNetwork {
 public:
  PodNetwork();
  Pod& add(const std::string& name);  // 10.12.0.11 and fd12::b for the first, counted on
  Pod& add(const std::string& name, const std::string& v4);
  Pod& operator[](const std::string& name) { return *pods_.at(name); }
  Netns& node() { return node_; }

 private:
  Netns node_;
  std::map<std::string, std::unique_ptr<Pod>> pods_;
};

}  // namespace sockmesh::test

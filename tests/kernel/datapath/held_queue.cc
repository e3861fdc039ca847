#include "held_queue.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

namespace sockmesh::test {

void set_option(int socket, int level, int option, int value) {
  REQUIRE(setsockopt(socket, level, option, &value, sizeof value) == 0);
}

void put(int socket, const std::string& bytes) {
  REQUIRE(send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

void fill_send_queue(int target, const Fd& reader) {
  set_option(reader.get(), SOL_SOCKET, SO_RCVBUF, 16384);
  set_option(target, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
  put(target, std::string(kLane0Bytes, '0'));
}

void keep_worker_out(int target) { set_option(target, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1); }
void let_worker_in(int target) { set_option(target, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1 << 30); }

}  // namespace sockmesh::test

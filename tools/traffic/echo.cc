// sm-echo: an application for pods of demo and tests. Answers each line with a prefix before it, as the TCP
// echo servers of Istio's own examples do, and can speak first.
//
//   sm-echo 9000 one                      "hello" -> "one hello"
//   sm-echo 3333 "" "Welcome to pod v1."  says so to everybody who connects, then echoes
//
// A thread a connection; enough for that.
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"

namespace {

using sockmesh::Fd;

bool say(int fd, const std::string& text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

void serve(Fd client, const std::string& prefix, const std::string& welcome) {
  if (!welcome.empty() && !say(client.get(), welcome + "\n")) return;
  std::string pending;  // at most 64 KiB of an unfinished line
  char buffer[4096];
  ssize_t got = 0;
  while (pending.size() < 65536 && (got = recv(client.get(), buffer, sizeof buffer, 0)) > 0) {
    pending.append(buffer, static_cast<size_t>(got));
    for (size_t end = 0; (end = pending.find('\n')) != std::string::npos;) {
      std::string line = pending.substr(0, end + 1);
      pending.erase(0, end + 1);
      if (!prefix.empty()) line.insert(0, prefix + " ");
      if (!say(client.get(), line)) return;
    }
  }
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  const auto port = argc > 1 ? sockmesh::parse_number<uint16_t>(argv[1]) : std::nullopt;
  if (!port || argc > 4) {
    std::fprintf(stderr, "usage: sm-echo PORT [PREFIX [WELCOME]]\n");
    return 2;
  }
  const std::string prefix = argc > 2 ? argv[2] : "";
  const std::string welcome = argc > 3 ? argv[3] : "";
  std::signal(SIGPIPE, SIG_IGN);

  const Fd listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1, off = 0;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(*port);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(listener.get(), 1024) != 0) die("listen");
  std::printf("listening on [::]:%u, prefix: %s\n", *port, prefix.c_str());
  std::fflush(stdout);
  while (true) {
    Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) die("accept");
    std::thread(serve, std::move(client), prefix, welcome).detach();
  }
}

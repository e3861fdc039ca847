// An application as these tests need one: it accepts on a port of loopback and says to each connection what
// it was told to, piece by piece. Its thread ends with it.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/address.h"
#include "http/listening.h"

namespace sockmesh::admin {

class Application {
 public:
  // `first` is the answer; `again` follows every few milliseconds until the other side leaves, "" never ends
  // the connection, kClose does.
  static constexpr const char* kClose = "close";
  explicit Application(std::string first, std::string again = kClose,
                       const std::string& address = "127.0.0.1")
      : first_(std::move(first)), again_(std::move(again)), listening_(http::listen_tcp(address, 0).value()) {
    port_ = SocketAddress::local_of(listening_.get()).value().port;
    thread_ = std::thread([this] { serve(); });
  }
  ~Application() {
    over_ = true;
    thread_.join();
  }
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }

 private:
  void serve() {
    std::vector<Fd> open;
    while (!over_) {
      pollfd one{listening_.get(), POLLIN, 0};
      ::poll(&one, 1, 5);
      Fd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      for (const Fd& old : open) ::send(old.get(), again_.data(), again_.size(), MSG_NOSIGNAL);
      if (!fd) continue;
      ++accepted_;
      // The request first: closing on unread bytes would be RST.
      pollfd asked{fd.get(), POLLIN, 0};
      ::poll(&asked, 1, 1000);
      char request[4096];
      (void)!::recv(fd.get(), request, sizeof request, 0);
      ::send(fd.get(), first_.data(), first_.size(), MSG_NOSIGNAL);
      if (again_ != kClose) open.push_back(std::move(fd));
    }
  }

  const std::string first_, again_;
  Fd listening_;
  uint16_t port_ = 0;
  std::atomic<bool> over_{false};
  std::atomic<int> accepted_{0};
  std::thread thread_;
};

inline std::string http_answer(const std::string& body, const std::string& headers = "", int status = 200) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers, body);
}

}  // namespace sockmesh::admin

// HttpServer: one listening socket (TCP or Unix) that hands requests to a function and never more than the
// threads of a shared pool run at once. Thin over cpp-httplib, which stays inside http_server.cc.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "admin/api.h"
#include "base/result.h"

namespace sockmesh::admin {

// Threads that answer requests, shared by several servers. Must outlive them, and be stopped first.
class AnswerPool {
 public:
  explicit AnswerPool(size_t threads);
  ~AnswerPool();
  void stop();  // waits for what is being answered; idempotent

 private:
  friend class HttpServer;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HttpServer {
 public:
  using Handler = std::function<Reply(const Request&)>;

  // `address` "": all addresses of both families. Port 0: the kernel chooses.
  static Result<std::unique_ptr<HttpServer>> tcp(const std::string& address, uint16_t port, AnswerPool& pool,
                                                 Handler handler);
  // A socket file that nobody listens on is replaced; one that someone listens on is an error. Mode 0660.
  static Result<std::unique_ptr<HttpServer>> unix_socket(const std::string& path,
                                                         std::optional<std::pair<uid_t, gid_t>> owner,
                                                         AnswerPool& pool, Handler handler);
  ~HttpServer();          // stop(); removes the socket file
  void stop();            // no new requests; running ones go on in the pool
  uint16_t port() const;  // 0 for a Unix socket

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::admin

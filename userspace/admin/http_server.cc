#include "admin/http_server.h"

#include <httplib.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/fd.h"

namespace sockmesh::admin {

namespace {

constexpr size_t kMaxWaiting = 64;       // requests; beyond it the accepting thread answers itself, so that
                                         // the listen backlog, not memory, holds the rest
constexpr size_t kMaxBody = 1 << 20;     // bytes
constexpr int kIoTimeoutSeconds = 5;     // for each read and write
constexpr size_t kLargeReply = 1 << 20;  // bytes; after one, freed memory goes back to the kernel

// 127.0.0.1 and ::1 only. 127.0.0.6 is loopback too, but it is where inbound passthrough dials from: whoever
// can reach the pod would be "localhost".
bool is_localhost(const std::string& address) {
  return address == "127.0.0.1" || address == "::1" || address == "::ffff:127.0.0.1";
}

Request request_of(const httplib::Request& from) {
  Request request{.method = from.method == "HEAD" ? "GET" : from.method,
                  .path = from.path,
                  .from_localhost = is_localhost(from.remote_addr)};
  for (const auto& [key, value] : from.params) request.query.emplace(key, value);
  return request;
}

// "in use", "denied", ...: httplib only says that it could not bind.
Error bind_error(const std::string& where) { return os_error("listening on " + where); }

}  // namespace

struct AnswerPool::Impl {
  explicit Impl(size_t threads) : pool(threads) {}
  httplib::ThreadPool pool;
  std::atomic<size_t> waiting{0};
  std::atomic<bool> stopped{false};
};

AnswerPool::AnswerPool(size_t threads) : impl_(std::make_unique<Impl>(threads)) {}
AnswerPool::~AnswerPool() { stop(); }
void AnswerPool::stop() {
  if (!impl_->stopped.exchange(true)) impl_->pool.shutdown();
}

struct HttpServer::Impl {
  // httplib gives each server a queue of its own; ours all lead to the shared pool.
  struct Queue : httplib::TaskQueue {
    explicit Queue(AnswerPool::Impl& shared) : pool(shared) {}
    void enqueue(std::function<void()> task) override {
      if (pool.waiting.load() >= kMaxWaiting) return task();
      pool.waiting.fetch_add(1);
      pool.pool.enqueue([this_pool = &pool, task = std::move(task)] {
        this_pool->waiting.fetch_sub(1);
        task();
      });
    }
    void shutdown() override {}  // the pool's owner does that
    AnswerPool::Impl& pool;
  };

  Impl(AnswerPool::Impl& pool, Handler answer) : handler(std::move(answer)) {
    server.new_task_queue = [&pool] { return new Queue(pool); };
    // SO_REUSEPORT, httplib's default, would let a second agent share our ports unnoticed.
    server.set_socket_options([](socket_t socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    // A connection kept alive would hold one of the few threads while it is idle.
    server.set_keep_alive_max_count(1);
    server.set_read_timeout(kIoTimeoutSeconds);
    server.set_write_timeout(kIoTimeoutSeconds);
    server.set_payload_max_length(kMaxBody);
    const auto answer_one = [this](const httplib::Request& from, httplib::Response& to) {
      Reply reply = handler(request_of(from));
      to.status = reply.status;
      large.store(reply.body.size() >= kLargeReply);
      to.set_content(std::move(reply.body), reply.type);
    };
    // `curl -X POST` announces no body at all: httplib would wait for one until the client gives up.
    server.set_pre_routing_handler([answer_one](const httplib::Request& from, httplib::Response& to) {
      using Handled = httplib::Server::HandlerResponse;
      const bool has_body = from.has_header("Content-Length") || from.has_header("Transfer-Encoding");
      if (from.method != "POST" || has_body) return Handled::Unhandled;
      answer_one(from, to);
      return Handled::Handled;
    });
    server.Get(".*", answer_one);
    server.Post(".*", answer_one);
    server.set_logger([this](const httplib::Request&, const httplib::Response&) {
      if (large.exchange(false)) ::malloc_trim(0);
    });
  }

  void serve() {
    thread = std::thread([this] { server.listen_after_bind(); });
    // stop() has no effect on a server that does not run yet.
    while (!server.is_running()) std::this_thread::yield();
  }

  httplib::Server server;
  Handler handler;
  std::atomic<bool> large{false};
  std::string socket_path;  // to be removed
  uint16_t port = 0;
  std::thread thread;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  stop();
  if (!impl_->socket_path.empty()) ::unlink(impl_->socket_path.c_str());
}

void HttpServer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

uint16_t HttpServer::port() const { return impl_->port; }

Result<std::unique_ptr<HttpServer>> HttpServer::tcp(const std::string& address, uint16_t port,
                                                    AnswerPool& pool, Handler handler) {
  auto impl = std::make_unique<Impl>(*pool.impl_, std::move(handler));
  const auto bind = [&](const std::string& host) {
    const int chosen = port == 0                               ? impl->server.bind_to_any_port(host)
                       : impl->server.bind_to_port(host, port) ? port
                                                               : -1;
    if (chosen <= 0) return false;
    impl->port = static_cast<uint16_t>(chosen);
    return true;
  };
  // "::" takes IPv4 too, unless the kernel has no IPv6.
  const bool bound = address.empty() ? bind("::") || bind("0.0.0.0") : bind(address);
  if (!bound) return fail(bind_error(fmt::format("{}:{}", address.empty() ? "*" : address, port)));
  impl->serve();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

namespace {

// Removes a socket that its listener left behind; an error when someone still listens on it.
Result<void> make_room(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path)
    return fail("admin socket '{}': the path has {} bytes, at most {} fit; choose a shorter run directory",
                path, path.size(), sizeof name.sun_path - 1);
  path.copy(name.sun_path, path.size());

  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return fail("admin socket '{}': something else is there, not a socket", path);
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 || errno == EAGAIN)
    return fail("admin socket '{}': another agent answers there; give this one its own --run-dir", path);
  if (::unlink(path.c_str()) != 0) return fail(os_error("removing stale socket " + path));
  return {};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::unix_socket(const std::string& path,
                                                            std::optional<std::pair<uid_t, gid_t>> owner,
                                                            AnswerPool& pool, Handler handler) {
  SOCKMESH_CHECK(make_room(path));
  auto impl = std::make_unique<Impl>(*pool.impl_, std::move(handler));
  impl->server.set_address_family(AF_UNIX);
  if (!impl->server.bind_to_port(path, 80)) return fail(bind_error(path));  // the port is ignored
  impl->socket_path = path;
  if (::chmod(path.c_str(), 0660) != 0) return fail(os_error("chmod 0660 " + path));
  if (owner && ::chown(path.c_str(), owner->first, owner->second) != 0)
    return fail(os_error(fmt::format("chown {}:{} {}", owner->first, owner->second, path)));
  impl->serve();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace sockmesh::admin

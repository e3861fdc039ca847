#include "admin/app_prober.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/fd.h"
#include "base/local_delivery.h"
#include "base/strings.h"
#include "event/watched_fd.h"

namespace sockmesh::admin {

namespace {

constexpr size_t kMaxBody =
    10 * 1024;  // bytes of the application's that are passed back, as the kubelet reads
constexpr size_t kMaxHealthAnswer = 4096;  // bytes
constexpr int kMaxRequests = 10;           // of one probe, with redirects

// What belongs to one connection and not to what is asked (RFC 9110, 7.6.1), and what the client sets itself.
bool stays_here(std::string_view name) {
  for (const std::string_view one :
       {"Host", "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "HTTP2-Settings", "Content-Length", "Expect"})
    if (equals_ignore_case(name, one)) return true;
  return false;
}

http::Response failed(const std::string& where, const std::string& why) {
  return http::text_response(500, fmt::format("probe of {}: {}", where, why));
}

bool is_followed(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

std::string host_for_app(const std::string& host, uint16_t status_port, uint16_t app_port) {
  const std::string ours = fmt::format(":{}", status_port);
  return host.ends_with(ours) ? fmt::format("{}:{}", host.substr(0, host.size() - ours.size()), app_port)
                              : host;
}

// --- HTTP ---

class AppProber::HttpProbe : public std::enable_shared_from_this<HttpProbe> {
 public:
  HttpProbe(http::Client& client, const AppProbe& probe, const SocketAddress& to, const IpAddress& source,
            http::Reply reply)
      : client_(client),
        to_(to),
        source_(source),
        deadline_(monotonic_now() + probe.timeout),
        reply_(std::move(reply)) {}

  void begin(const AppProbe& probe, const http::Request& request, uint16_t status_port) {
    for (const http::Header& one : request.headers)
      if (!stays_here(one.name)) headers_.push_back(one);
    const std::string* host = request.header("Host");
    ask(fmt::format("{}://{}{}", probe.tls ? "https" : "http", to_.to_string(), probe.path),
        host ? host_for_app(*host, status_port, probe.port) : "");
  }

 private:
  void ask(const std::string& url, const std::string& host) {
    url_ = url;
    host_ = host;
    http::Call call{.url = url,
                    .headers = headers_,
                    .protocol = http::Call::Protocol::kNegotiated,
                    .source = source_,
                    .deadline = deadline_ - monotonic_now(),
                    .max_body = kMaxBody,
                    .cut_body = true};
    if (!host.empty()) call.headers.push_back({"Host", host});
    transfer_ = client_.start(std::move(call), [this](http::Outcome outcome) {
      const auto kept = shared_from_this();
      take(std::move(outcome));
    });
  }
  void take(http::Outcome outcome) {
    // The status decides; a body that does not end in time is left at what came of it.
    if (outcome.status == 0) return reply_(failed(url_, outcome.error));
    if (outcome.status >= 300 && outcome.status < 400) return redirected(outcome);
    const bool sendable = outcome.status >= 200 && outcome.status <= 999;
    http::Response response{.status = sendable ? outcome.status : 500};
    if (!outcome.type.empty()) response.type = outcome.type;
    response.body.push_back(http::part(std::move(outcome.body)));
    reply_(std::move(response));
  }
  // Elsewhere may be anywhere, and the application has answered: that is enough for the kubelet as well.
  void redirected(const http::Outcome& outcome) {
    const std::string own = to_.ip.is_v6() ? "[" + to_.ip.to_string() + "]" : to_.ip.to_string();
    const bool follow =
        is_followed(outcome.status) && !outcome.redirect.empty() && outcome.redirect_host == own;
    if (!follow) return reply_({.status = 200});
    if (++requests_ >= kMaxRequests)
      return reply_(failed(url_, fmt::format("stopped after {} redirects", kMaxRequests)));
    ask(outcome.redirect, outcome.same_host_named ? host_ : "");
  }

  http::Client& client_;
  const SocketAddress to_;
  const IpAddress source_;
  const MonotonicTime deadline_;
  const http::Reply reply_;
  std::vector<http::Header> headers_;
  std::string url_, host_;
  int requests_ = 0;
  http::Client::Handle transfer_;
};

// --- TCP ---

class AppProber::TcpProbe : public std::enable_shared_from_this<TcpProbe> {
 public:
  TcpProbe(event::Loop& loop, const SocketAddress& to, http::Reply reply)
      : loop_(loop), to_(to), reply_(std::move(reply)) {}

  void begin(const IpAddress& source, Duration timeout) {
    socket_ = event::WatchedFd(Fd(::socket(to_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
    if (!socket_) return end(os_error("socket").message);
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_storage storage{};
    socklen_t length = SocketAddress{source, 0}.to_sockaddr(storage);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
      return end(os_error("bind " + source.to_string()).message);
    length = to_.to_sockaddr(storage);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0) return end("");
    if (errno != EINPROGRESS) return end(os_error("connect").message);
    timer_ = loop_.timer([this] {
      const auto kept = shared_from_this();
      end("no answer in time");
    });
    timer_->set(timeout);
    socket_.watch(loop_, EPOLLOUT, [this](uint32_t) {
      const auto kept = shared_from_this();
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      end(error == 0 ? "" : os_error("connect", error).message);
    });
  }

 private:
  void end(const std::string& why) {
    timer_.reset();
    socket_.reset();
    reply_(why.empty() ? http::Response{.status = 200} : failed(to_.to_string(), why));
  }

  event::Loop& loop_;
  const SocketAddress to_;
  const http::Reply reply_;
  event::WatchedFd socket_;
  std::unique_ptr<event::Timer> timer_;
};

// --- gRPC ---

class AppProber::GrpcProbe : public std::enable_shared_from_this<GrpcProbe> {
 public:
  GrpcProbe(const SocketAddress& to, http::Reply reply) : to_(to), reply_(std::move(reply)) {}

  void begin(http::Client& client, const AppProbe& probe, const http::Request& request,
             const IpAddress& source) {
    http::Call call{.url = fmt::format("http://{}/grpc.health.v1.Health/Check", to_.to_string()),
                    .headers = {{"Content-Type", "application/grpc"}, {"TE", "trailers"}},
                    .body = health_request(probe.service),
                    .protocol = http::Call::Protocol::kHttp2,
                    .source = source,
                    .deadline = probe.timeout,
                    .max_body = kMaxHealthAnswer};
    if (const std::string* agent = request.header("User-Agent"))
      call.headers.push_back({"User-Agent", *agent});
    transfer_ = client.start(std::move(call), [this](const http::Outcome& outcome) {
      const auto kept = shared_from_this();
      take(outcome);
    });
  }

 private:
  void take(const http::Outcome& outcome) {
    const std::string where = "grpc.health.v1 at " + to_.to_string();
    if (!outcome.whole()) return reply_(failed(where, outcome.error));
    if (outcome.status != 200) return reply_(failed(where, fmt::format("HTTP status {}", outcome.status)));
    if (outcome.grpc_status != "0")
      return reply_(failed(where, fmt::format("gRPC status '{}'", outcome.grpc_status)));
    if (!says_serving(outcome.body)) return reply_(failed(where, "not SERVING"));
    reply_({.status = 200});
  }

  const SocketAddress to_;
  const http::Reply reply_;
  http::Client::Handle transfer_;
};

// --- all ---

AppProber::AppProber(event::Loop& loop, http::Client& client, AppProbes probes, const ProbeTarget& target)
    : loop_(loop),
      client_(client),
      probes_(std::move(probes)),
      target_(target.ip.value_or(IpAddress::loopback(false))),
      source_(local_delivery_address(target_.is_v6())),
      status_port_(target.status_port) {}

bool AppProber::is_probe(const std::string& path) {
  return path.starts_with("/app-health/") || path.starts_with("/app-lifecycle/");
}

http::Work AppProber::run(const http::Request& request, http::Reply reply) {
  const auto refuse = [&](int status, const std::string& why) -> http::Work {
    reply(http::text_response(status, why));
    return nullptr;
  };
  if (!probes_.unreadable.empty()) return refuse(500, probes_.unreadable);
  const auto found = probes_.by_path.find(request.path);
  if (found == probes_.by_path.end())
    return refuse(400, fmt::format("app prober config does not exists for {}", request.path));
  if (!found->second) return refuse(500, fmt::format("{}: {}", request.path, found->second.error().message));

  const AppProbe& probe = *found->second;
  const SocketAddress to{target_, probe.port};
  switch (probe.kind) {
    case AppProbe::Kind::kHttp: {
      const auto work = std::make_shared<HttpProbe>(client_, probe, to, source_, std::move(reply));
      work->begin(probe, request, status_port_);
      return work;
    }
    case AppProbe::Kind::kTcp: {
      const auto work = std::make_shared<TcpProbe>(loop_, to, std::move(reply));
      work->begin(source_, probe.timeout);
      return work;
    }
    case AppProbe::Kind::kGrpc: {
      const auto work = std::make_shared<GrpcProbe>(to, std::move(reply));
      work->begin(client_, probe, request, source_);
      return work;
    }
  }
  return nullptr;
}

}  // namespace sockmesh::admin

#include "admin/admin_server.h"

#include <unistd.h>

#include <map>
#include <thread>

#include "admin/api.h"
#include "admin/app_metrics.h"
#include "admin/app_prober.h"
#include "admin/executor.h"
#include "http/listening.h"

namespace sockmesh::admin {

namespace {

using namespace std::chrono_literals;

// A person who pages through a dump reads slowly; a scraper does not.
constexpr Duration kOperatorsAnswerTime = 60s;
constexpr size_t kOperatorsAnswers = 64 << 20,
                 kStrangersAnswers = 32 << 20;                            // bytes kept for who reads slowly
constexpr size_t kOperatorsConnections = 32, kStrangersConnections = 64;  // of each door
constexpr size_t kStrangersPerPeer = 32;
constexpr size_t kMaxWaiting = 16;  // answers that wait to be made, for each of the two threads: 503 beyond

bool is_strangers(Door door) { return door != Door::kSocket && door != Door::kAdmin; }

http::DoorBounds bounds_of(Door door) {
  http::DoorBounds bounds;
  if (is_strangers(door)) {
    bounds.connections = kStrangersConnections;
    bounds.per_peer = kStrangersPerPeer;
  } else {
    bounds.connections = bounds.per_peer = kOperatorsConnections;
    bounds.connection.answer_time = kOperatorsAnswerTime;
  }
  return bounds;
}

// 127.0.0.1 and ::1 only. 127.0.0.6 is loopback too, but it is where inbound passthrough dials from: whoever
// can reach the pod would be "localhost".
bool is_localhost(const IpAddress& ip) {
  return ip == IpAddress::loopback(false) || ip == IpAddress::loopback(true);
}

Request request_of(const http::Request& from, Door door) {
  return {.method = from.method == "HEAD" ? "GET" : from.method,
          .path = from.path,
          .query = from.query,
          .from_localhost = door != Door::kSocket && is_localhost(from.peer.ip)};
}

http::Response response_of(Reply reply) {
  return {.status = reply.status, .type = std::move(reply.type), .body = {http::part(std::move(reply.body))}};
}

http::Response too_busy() {
  return http::text_response(503, fmt::format("busy: {} other answers wait to be made", kMaxWaiting));
}

// A page of ours and one of the application's that become one answer when both are there.
struct Merge {
  std::optional<http::Response> ours;
  std::optional<AppPage> theirs;
  http::Reply reply;
  http::Work fetch;
};

}  // namespace

const size_t kMaxAdminDescriptors =
    3 * kStrangersConnections + 2 * kOperatorsConnections + kStrangersConnections /* probes */ + 32;

struct AdminServer::Impl {
  Impl(std::unique_ptr<event::Loop> its_loop, Sources sources, std::optional<AppScrape> scrape,
       AppProbes probes, const ProbeTarget& target)
      : api(std::move(sources)),
        loop(std::move(its_loop)),
        client(*loop),
        app_metrics(*loop, client, std::move(scrape)),
        prober(*loop, client, std::move(probes), target),
        operators_answers(*loop, kMaxWaiting),
        strangers_answers(*loop, kMaxWaiting),
        operators(std::make_unique<http::Server>(*loop, kOperatorsAnswers)),
        strangers(std::make_unique<http::Server>(*loop, kStrangersAnswers)) {}
  ~Impl() {
    stop();
    if (!socket_path.empty()) ::unlink(socket_path.c_str());
  }

  void open(Door door, Fd listening) {
    http::Server& server = is_strangers(door) ? *strangers : *operators;
    server.open(std::move(listening), bounds_of(door),
                [this, door](const http::Request& request, http::Reply reply) {
                  return handle(door, request, std::move(reply));
                });
  }
  void stop();

  http::Work handle(Door door, const http::Request& request, http::Reply reply);
  void make(Door door, Request request, const Executor::Done& done);
  http::Work merged_metrics(const http::Request& from, http::Reply reply);

  const Api api;
  std::vector<std::string> warnings;
  std::string socket_path;             // to be removed
  std::map<uint16_t, uint16_t> ports;  // standard -> in use

  // Of the loop's thread, in the order of what needs what.
  std::unique_ptr<event::Loop> loop;
  http::Client client;
  AppMetrics app_metrics;
  AppProber prober;
  Executor operators_answers, strangers_answers;
  std::unique_ptr<http::Server> operators, strangers;
  std::thread thread;
};

http::Work AdminServer::Impl::handle(Door door, const http::Request& from, http::Reply reply) {
  if (door == Door::kStatus && AppProber::is_probe(from.path)) return prober.run(from, std::move(reply));
  Request request = request_of(from, door);
  switch (api.effort(door, request)) {
    case Effort::kNone:
      reply(response_of(api.handle(door, request)));
      return nullptr;
    case Effort::kMergedMetrics:
      if (app_metrics.present()) return merged_metrics(from, std::move(reply));
      [[fallthrough]];
    case Effort::kSome:
      make(door, std::move(request), std::move(reply));
      return nullptr;
  }
  return nullptr;
}

void AdminServer::Impl::make(Door door, Request request, const Executor::Done& done) {
  // A POST changes something: it is never merged with another, and from a stranger it never comes so far.
  const bool post = request.method == "POST";
  Executor& executor = is_strangers(door) && !post ? strangers_answers : operators_answers;
  std::string key = request.path;
  for (const auto& [name, value] : request.query) key += fmt::format("\n{}={}", name, value);
  if (post) key.clear();
  const bool taken = executor.submit(
      key, /*urgent=*/door == Door::kSocket || post,
      [this, door, request = std::move(request)] { return response_of(api.handle(door, request)); }, done);
  if (!taken) done(too_busy());
}

// 15020: ours first, then the application's, as istio-agent merges them. Both are made at the same time.
http::Work AdminServer::Impl::merged_metrics(const http::Request& from, http::Reply reply) {
  const auto merge = std::make_shared<Merge>();
  merge->reply = std::move(reply);
  const auto join = [this](Merge& both) {
    if (!both.ours || !both.theirs) return;
    http::Response response = std::move(*both.ours);
    if (response.status == 200) {
      response.type = both.theirs->type;
      response.body.push_back(
          http::part(fmt::format("# HELP istio_agent_scrape_failures_total Failed scrapes\n"
                                 "# TYPE istio_agent_scrape_failures_total counter\n"
                                 "istio_agent_scrape_failures_total{{type=\"application\"}} {}\n",
                                 app_metrics.failures())));
      if (both.theirs->text) response.body.push_back(both.theirs->text);
    }
    both.reply(std::move(response));
  };
  // The connection holds the merge: when it goes, so does the fetch.
  const std::weak_ptr<Merge> weak = merge;
  merge->fetch = app_metrics.page(from, [weak, join](AppPage page) {
    const auto both = weak.lock();
    if (!both) return;
    both->theirs = std::move(page);
    join(*both);
  });
  Request request = request_of(from, Door::kStatus);
  request.query.clear();  // means nothing there; waiting scrapes are then the same
  make(Door::kStatus, std::move(request), [weak, join](const http::Response& ours) {
    const auto both = weak.lock();
    if (!both) return;
    both->ours = ours;
    join(*both);
  });
  return merge;
}

void AdminServer::Impl::stop() {
  if (thread.joinable()) {
    loop->stop();
    thread.join();
  }
  operators.reset();
  strangers.reset();
  operators_answers.stop();
  strangers_answers.stop();
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() = default;

Result<std::unique_ptr<AdminServer>> AdminServer::start(AdminOptions options, Sources sources) {
  std::vector<std::string> warnings;
  const uint16_t status_port = options.status_port.value_or(0);
  std::optional<AppScrape> scrape;
  if (auto parsed = parse_app_scrape(options.app_annotations, status_port))
    scrape = std::move(*parsed);
  else
    warnings.push_back(parsed.error().message);
  AppProbes probes = parse_app_probes(options.app_probers, status_port);
  for (std::string& problem : probes.problems()) warnings.push_back(std::move(problem));

  SOCKMESH_TRY(loop, event::Loop::create(event::Backend::kEpoll));
  auto impl = std::make_unique<Impl>(std::move(loop), std::move(sources), std::move(scrape),
                                     std::move(probes), ProbeTarget{options.app_address, status_port});
  impl->warnings = std::move(warnings);

  if (!options.socket_path.empty()) {
    SOCKMESH_TRY(socket, http::listen_unix(options.socket_path, options.socket_owner));
    impl->socket_path = options.socket_path;
    impl->open(Door::kSocket, std::move(socket));
  }

  struct Listen {
    uint16_t standard;
    std::optional<uint16_t> port;
    std::string address;
    Door door;
    bool required;
  };
  constexpr auto& kStandard = model::kIstioPorts;
  const Listen listens[] = {
      {kStandard.readiness, options.readiness_port, options.any_address, Door::kReadiness, true},
      {kStandard.status, options.status_port, options.any_address, Door::kStatus, false},
      {kStandard.metrics, options.metrics_port, options.any_address, Door::kMetrics, false},
      {kStandard.admin, options.admin_port, "127.0.0.1", Door::kAdmin, false},
  };
  for (const Listen& listen : listens) {
    if (!listen.port) continue;
    auto socket = http::listen_tcp(listen.address, *listen.port);
    if (!socket && listen.required) return fail(std::move(socket).error());
    if (!socket) {
      impl->warnings.push_back(socket.error().message);
      continue;
    }
    SOCKMESH_TRY(local, SocketAddress::local_of(socket->get()));
    impl->ports[listen.standard] = local.port;
    impl->open(listen.door, std::move(*socket));
  }
  impl->thread = std::thread([loop = impl->loop.get()] { loop->run(); });
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

void AdminServer::stop() { impl_->stop(); }

const std::vector<std::string>& AdminServer::warnings() const { return impl_->warnings; }

uint16_t AdminServer::port(uint16_t standard) const {
  const auto found = impl_->ports.find(standard);
  return found == impl_->ports.end() ? 0 : found->second;
}

}  // namespace sockmesh::admin

#include "connection/connection.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/tcp_socket.h"
#include "connection/outcome.h"
#include "connection/proxy_protocol.h"
#include "connection/tls_hello.h"
#include "net/loop_guard.h"

namespace sockmesh::connection {

namespace {

using model::ResponseFlag;
using telemetry::ConnectionState;

// A pod that calls itself passes twice, outbound and inbound; gateways may lead to each other's ports. More
// is a circle.
constexpr uint32_t kMaxPasses = 4;

// Reset, or closed both ways. Takes nothing from the socket, not its error either.
bool gone(int fd) {
  pollfd one{fd, 0, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & (POLLERR | POLLHUP)) != 0;
}

telemetry::ConnectionRecord new_record(uint64_t id, const Accepted& accepted, MonotonicTime now) {
  telemetry::ConnectionRecord record;
  record.id = id;
  record.direction = accepted.entry->direction;
  record.started = wall_now();
  record.opened = now;
  record.downstream_remote = accepted.remote;
  return record;
}

}  // namespace

Connection::Connection(Connections& connections, Accepted accepted)
    : connections_(connections),
      id_(connections.services().telemetry.next_connection_id()),
      entry_(accepted.entry),
      within_limit_(connections.services().limit.take()),
      downstream_(std::move(accepted.socket)),
      scope_(connections.services().telemetry, new_record(id_, accepted, connections.services().loop.now())) {
  scope_.set_refresh([this](telemetry::ConnectionRecord& record) {
    if (relay_) note_progress(relay_->progress(), record);
  });
}

Connection::~Connection() {
  if (!ended_) scope_.refresh();  // the worker is going: the relay below resets both sides without a word
  if (within_limit_) connections_.services().limit.give_back();
}

void Connection::start() {
  const int on = 1;
  setsockopt(downstream_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Until finish() says otherwise: if this process dies, the client must not take it for the end of an
  // answer.
  reset_on_close(downstream_.get());

  const auto captured = net::original_destination(downstream_.get(), entry_->port);
  if (!captured) return finish(std::nullopt, "the client was gone before it was looked at");
  redirected_ = captured->redirected;
  record().downstream_local = captured->destination;

  if (!within_limit_) {
    // Shed connections must not cost a TIME_WAIT each.
    return finish(ResponseFlag::kOverloadManager, "more connections than this agent may carry",
                  Close::kReset);
  }
  if (entry_->bound.empty() && net::would_loop(*captured, entry_->pod->capture_ports)) {
    // As Istio's chain on its fixed ports (docs/istio.md#virtualoutbound): to BlackHoleCluster, unlogged.
    record().cluster = model::kBlackHoleCluster;
    record().log = false;
    return finish(ResponseFlag::kNoHealthyUpstream, "dialled our own capture port");
  }
  own_accept_ = entry_->pod->own_dials.accepted(record().downstream_remote, captured->destination);
  if (*own_accept_.passes() > kMaxPasses) {
    record().cluster = model::kBlackHoleCluster;
    record().details = "proxy_loop";
    connections_.loop_found(captured->destination);
    return finish(ResponseFlag::kNoHealthyUpstream, "came back to this agent again and again");
  }
  route();
}

void Connection::route() {
  if (ended_ || !connections_.snapshot()) return;
  snapshot_ = connections_.snapshot();
  record().snapshot = snapshot_;
  const model::Listener* listener =
      entry_->bound.empty() ? nullptr : connections_.bound_listener(entry_->bound);
  if (listener != nullptr && listener->accept_proxy_protocol) return read_proxy_header(*listener);
  decide();
}

void Connection::read_proxy_header(const model::Listener& listener) {
  record().state = ConnectionState::kInspecting;
  record().listener = listener.name;
  const auto complete = [](std::span<const uint8_t> bytes) {
    return parse_proxy_header(bytes).state != ProxyHeaderState::kNeedMore;
  };
  const Services& services = connections_.services();
  peek_ = std::make_unique<Peek>(services.loop, downstream_, kMaxProxyHeader, services.proxy_header_time,
                                 complete, [this](PeekEnd end) { take_proxy_header(end); });
}

void Connection::take_proxy_header(PeekEnd end) {
  peek_.reset();
  if (end == PeekEnd::kTimeout) return finish(std::nullopt, "no PROXY header in time");
  if (end == PeekEnd::kClosed) return finish(std::nullopt, "closed before its PROXY header was complete");
  std::array<uint8_t, kMaxProxyHeader> bytes;
  const ssize_t got = recv(downstream_.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  const ProxyHeader header = parse_proxy_header({bytes.data(), got > 0 ? static_cast<size_t>(got) : 0});
  if (header.state != ProxyHeaderState::kComplete) return finish(std::nullopt, "not a PROXY header");
  // The header leaves the stream: what is relayed begins behind it.
  if (recv(downstream_.get(), bytes.data(), header.length, MSG_DONTWAIT) !=
      static_cast<ssize_t>(header.length))
    return finish(std::nullopt, "the client was gone");
  if (header.source) record().downstream_remote = *header.source;
  if (header.destination) record().downstream_local = *header.destination;
  decide();
}

void Connection::decide() {
  model::ConnectionInfo info;
  info.direction = entry_->direction;
  info.destination = record().downstream_local;
  info.source = record().downstream_remote;
  info.hello = hello_;
  if (!entry_->bound.empty()) {
    info.bound = connections_.bound_listener(entry_->bound);
    // Its socket is about to be closed; the snapshot that had it is gone.
    if (info.bound == nullptr) return finish(ResponseFlag::kNoRouteFound, "its listener was removed");
  }
  const model::Decision decision = model::match(*snapshot_, info);
  if (decision.listener != nullptr) record().listener = decision.listener->name;
  if (decision.needs_inspection) return inspect();
  if (decision.chain == nullptr) {
    record().details = "filter_chain_not_found";
    return finish(ResponseFlag::kNoRouteFound, "no filter chain matched");
  }
  connect(decision);
}

void Connection::inspect() {
  record().state = ConnectionState::kInspecting;
  const auto seen_enough = [this](std::span<const uint8_t> bytes) {
    ClientHello hello = parse_client_hello(bytes);
    if (hello.state == HelloState::kNeedMore) return false;
    hello_ = model::TlsHello{hello.state == HelloState::kTls, std::move(hello.server_name),
                             std::move(hello.application_protocols)};
    return true;
  };
  const auto done = [this](PeekEnd end) {
    peek_.reset();
    if (end == PeekEnd::kClosed) return finish(std::nullopt, "closed before its first bytes were complete");
    if (!hello_) hello_ = model::TlsHello{};  // time is up: goes on as something that is not TLS
    record().server_name = hello_->server_name;
    decide();
  };
  peek_ = std::make_unique<Peek>(connections_.services().loop, downstream_, kMaxClientHello,
                                 detection_timeout(snapshot_->mesh), seen_enough, done);
}

void Connection::connect(const model::Decision& decision) {
  chain_ = decision.chain;
  record().filter_chain = chain_->name;
  record().log = chain_->log;

  const model::Route& route = chain_->route;
  const Text& name = model::draw(route, connections_.services().upstreams.random().next()).cluster;
  const auto found = snapshot_->clusters.find(name);
  if (found == snapshot_->clusters.end()) return finish(ResponseFlag::kNoClusterFound, "no such cluster");
  cluster_ = found->second;
  record().cluster = name;
  record().cluster_config = cluster_;
  record().state = ConnectionState::kConnecting;

  upstream::DialRequest request;
  request.cluster = cluster_;
  if (redirected_) request.original_destination = record().downstream_local;
  request.client = record().downstream_remote;
  request.passes = own_accept_.passes();
  request.hash_source_ip = route.hash_source_ip;
  request.keep_client_source =
      entry_->pod->keeps_client_source() && entry_->direction == model::Direction::kInbound;

  downstream_.watch(connections_.services().loop, 0, [this](uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) finish(std::nullopt, "the client was gone before the upstream stood");
  });
  dial_ = std::make_unique<upstream::Dial>(
      connections_.services().upstreams, std::move(request),
      [this](upstream::DialOutcome outcome) { connected(std::move(outcome)); });
  dial_->start();
}

void Connection::connected(upstream::DialOutcome outcome) {
  if (ended_) return;
  downstream_.unwatch();
  record().connect_attempts = outcome.attempts;
  record().upstream_host = outcome.host;
  record().transport_failure = outcome.transport_failure;
  lease_ = std::move(outcome.lease);
  own_dial_ = std::move(outcome.own);
  if (entry_->direction == model::Direction::kInbound) {
    record().peer = snapshot_->find_workload(record().downstream_remote.ip);
  } else if (outcome.workload) {
    record().peer = std::move(outcome.workload);
  } else if (outcome.host) {
    if (const auto* address = std::get_if<SocketAddress>(&*outcome.host))
      record().peer = snapshot_->find_workload(address->ip);
  }
  record().flags = outcome.flags;
  if (!outcome.socket) return finish(std::nullopt, "no upstream connection");
  record().upstream_local = outcome.local;
  relay(std::move(outcome.socket));
}

void Connection::relay(Fd upstream) {
  const std::string header =
      proxy_header(cluster_->proxy_protocol, record().downstream_remote, record().downstream_local);
  // An upstream that has reset already gets none: the relay passes on what it said before, and then the RST,
  // of which send() would take the error. The send buffer of a new connection takes these few bytes whole.
  if (!header.empty() && !gone(upstream.get()) &&
      send(upstream.get(), header.data(), header.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
          static_cast<ssize_t>(header.size()))
    return finish(ResponseFlag::kUpstreamRemoteReset, "the upstream reset before the PROXY header",
                  Close::kReset);

  record().state = ConnectionState::kRelaying;
  scope_.opened();
  const Duration age = connections_.services().loop.now() - record().opened;
  relay_ = connections_.services().data_path.relay(
      {downstream_.release(), std::move(upstream)}, relay_options(chain_->route, age),
      [this](const datapath::Outcome& outcome) { relayed(outcome); });
}

void Connection::relayed(const datapath::Outcome& outcome) {
  note_progress(outcome.progress, record());
  finish(flag_of(outcome.reason), datapath::to_string(outcome.reason));
}

void Connection::reset() {
  if (ended_) return;
  if (relay_) return relay_->abort();  // `relayed` follows
  finish(std::nullopt, datapath::to_string(datapath::CloseReason::kAborted), Close::kReset);
}

void Connection::finish(std::optional<ResponseFlag> flag, const char* reason, Close close) {
  if (ended_) return;
  ended_ = true;
  if (flag) record().flags.add(*flag);
  record().close_reason = reason;
  record().duration = monotonic_now() - record().opened;
  peek_.reset();
  // Until here whoever closed it sent RST.
  if (downstream_ && close != Close::kReset) reset_on_close(downstream_.get(), false);
  downstream_.reset();
  lease_ = upstream::Lease();
  own_accept_ = upstream::OwnDials::Entry();
  own_dial_ = upstream::OwnDials::Entry();
  connections_.closed(*this);
}

}  // namespace sockmesh::connection

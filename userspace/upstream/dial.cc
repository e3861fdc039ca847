#include "upstream/dial.h"

#include <algorithm>
#include <cerrno>

#include "upstream/outlier.h"

namespace sockmesh::upstream {

namespace {

// Istio marks what it sends with the client's address, so that the answers find their way back to it
// (docs/istio.md#tproxy).
constexpr uint32_t kTproxyMark = 1337;

// 127.0.0.6 and ::6: the pod's rules let pass what comes from there to the application (sockmesh-init, rule
// 10), and would bring anything else back to us. The configuration has them for the families of the pod's
// addresses; an address that came later (IPv6 is often slower) is no reason to go in circles.
std::optional<IpAddress> bind_source(const model::Cluster& cluster, bool ipv6) {
  const auto& wanted = ipv6 ? cluster.bind_source_v6 : cluster.bind_source_v4;
  const auto& other = ipv6 ? cluster.bind_source_v4 : cluster.bind_source_v6;
  if (wanted || !other) return wanted;
  if (!ipv6) return IpAddress::v4(0x7f000006);
  in6_addr six{};
  six.s6_addr[15] = 6;
  return IpAddress::v6(six);
}

bool port_taken(const Error& error) {
  return error.os_error == EADDRINUSE || error.os_error == EADDRNOTAVAIL;
}

}  // namespace

ConnectOptions connect_options(const DialRequest& request, const model::EndpointAddress& to) {
  ConnectOptions options;
  options.keepalive = request.cluster->keepalive;
  const auto* address = std::get_if<SocketAddress>(&to);
  if (address == nullptr) return options;
  const bool ipv6 = address->ip.is_v6();
  if (request.keep_client_source && request.client.ip.is_v6() == ipv6) {
    // Not its port: the application's host is ours, so the SYN would meet the very connection it stands for
    // (same addresses, same ports). Nor does Envoy's original_src take it.
    options.source = SocketAddress{request.client.ip, 0};
    options.transparent = true;
    options.mark = kTproxyMark;
    return options;
  }
  if (const auto source = bind_source(*request.cluster, ipv6)) options.source = SocketAddress{*source, 0};
  return options;
}

Dial::Dial(Upstreams& upstreams, DialRequest request, std::function<void(DialOutcome)> done)
    : upstreams_(upstreams),
      request_(std::move(request)),
      done_(std::move(done)),
      state_(upstreams.state(*request_.cluster)) {}

Dial::~Dial() = default;

void Dial::start() {
  if (!state_->acquire(request_.cluster->max_connections)) {
    state_->overflows.fetch_add(1, std::memory_order_relaxed);
    return fail_with(model::ResponseFlag::kUpstreamOverflow);
  }
  outcome_.lease = Lease(state_);
  timer_ = upstreams_.loop().timer([this] { timed_out(); });
  attempt();
}

void Dial::attempt() {
  const model::Cluster& cluster = *request_.cluster;
  if (cluster.type == model::ClusterType::kOriginalDst) {
    if (!request_.original_destination) return fail_with(model::ResponseFlag::kNoHealthyUpstream);
    SocketAddress to = *request_.original_destination;
    if (cluster.original_dst_port) to.port = *cluster.original_dst_port;
    return connect_to(to);
  }

  PickInput input{upstreams_.loop().now(), std::nullopt};
  if (request_.hash_source_ip) input.hash = hash64(request_.client.ip.to_string());
  const auto picked = upstreams_.balancer(request_.cluster).pick(input, tried_);
  if (const auto* nobody = std::get_if<Balancer::Nobody>(&picked)) {
    if (*nobody == Balancer::Nobody::kNamesPending) {
      if (!waiting_) timer_->set(cluster.connect_timeout);
      waiting_ = upstreams_.wait_for_names([this] { attempt(); });
      return;
    }
    // Somebody was tried: then that failure is what happened.
    if (outcome_.attempts > 0) return fail_with(model::ResponseFlag::kUpstreamConnectionFailure);
    state_->none_healthy.fetch_add(1, std::memory_order_relaxed);
    return fail_with(model::ResponseFlag::kNoHealthyUpstream);
  }
  waiting_.reset();
  const Host& host = std::get<Host>(picked);
  outcome_.lease.move_to(host.state);
  outcome_.workload = host.workload;
  connect_to(host.address);
}

void Dial::connect_to(const model::EndpointAddress& to) {
  ++outcome_.attempts;
  outcome_.host = to;
  tried_.push_back(to);
  auto connecting = open(to);
  if (!connecting) {
    const int error = connecting.error().os_error;
    return attempt_failed(error == 0 ? connecting.error().message : connect_failure_text(true, error));
  }
  socket_ = event::WatchedFd(std::move(connecting->socket));
  note_own(to);
  if (connecting->established) return finish();
  const MonotonicTime now = upstreams_.loop().now();
  if (silences_ == 0) deadline_ = now + request_.cluster->connect_timeout;
  Duration patience = deadline_ - now;
  if (port_tries_ > 0 && silences_ < kMaxSilences) patience = std::min(patience, kSilence);
  timer_->set(patience);
  socket_.watch(upstreams_.loop(), EPOLLOUT, [this](uint32_t) { writable(); });
}

Result<Connecting> Dial::open(const model::EndpointAddress& to) {
  ConnectOptions options = connect_options(request_, to);
  if (options.transparent) return open_as_client(std::get<SocketAddress>(to), std::move(options));
  return start_connect(to, options, upstreams_.network());
}

Result<Connecting> Dial::open_as_client(const SocketAddress& to, ConnectOptions options) {
  SourcePorts& ports = upstreams_.source_ports();
  if (port_tries_ == 0) ports.seen(request_.client);
  while (port_tries_ < kMaxSourcePortTries) {
    options.source->port = ports.choose(request_.client, port_tries_++);
    if (upstreams_.own_dials().entered(*options.source, to)) continue;
    auto connecting = start_connect(to, options, upstreams_.network());
    if (connecting || !port_taken(connecting.error())) return connecting;
  }
  return fail("immediate connect error: no free source port of {} towards {}", request_.client.ip.to_string(),
              to.to_string());
}

bool Dial::dial_from_another_port() {
  if (port_tries_ == 0 || silences_ == kMaxSilences || upstreams_.loop().now() >= deadline_) return false;
  ++silences_;
  socket_.reset();
  outcome_.own = OwnDials::Entry();
  --outcome_.attempts;  // the same attempt, at the same host
  const model::EndpointAddress to = tried_.back();
  tried_.pop_back();
  connect_to(to);
  return true;
}

void Dial::note_own(const model::EndpointAddress& to) {
  const auto* remote = std::get_if<SocketAddress>(&to);
  const auto local = remote ? SocketAddress::local_of(socket_.get()) : Result<SocketAddress>(SocketAddress{});
  if (!remote || !local) return;
  outcome_.local = *local;
  outcome_.own = upstreams_.own_dials().dialled(*local, *remote, request_.passes);
}

void Dial::writable() {
  if (const int error = connect_result(socket_.get()); error != 0)
    return attempt_failed(connect_failure_text(false, error));
  finish();
}

void Dial::timed_out() {
  if (waiting_) {  // names did not arrive in the time a connect may take
    state_->none_healthy.fetch_add(1, std::memory_order_relaxed);
    return fail_with(model::ResponseFlag::kNoHealthyUpstream);
  }
  if (dial_from_another_port()) return;
  state_->connect_timeouts.fetch_add(1, std::memory_order_relaxed);
  attempt_failed("");
}

void Dial::report(bool connected) {
  report_connect(
      *request_.cluster, *state_, outcome_.lease.host().get(),
      [this]() -> const HostList& { return upstreams_.balancer(request_.cluster).hosts(); }, connected,
      upstreams_.loop().now());
}

void Dial::attempt_failed(std::string text) {
  timer_->cancel();
  socket_.reset();
  outcome_.local.reset();
  outcome_.own = OwnDials::Entry();
  outcome_.transport_failure = std::move(text);
  report(false);
  const bool may_retry = outcome_.lease.host() && outcome_.attempts < kMaxConnectAttempts;
  outcome_.lease.move_to(nullptr);
  port_tries_ = silences_ = 0;
  if (may_retry) return attempt();
  fail_with(model::ResponseFlag::kUpstreamConnectionFailure);
}

void Dial::finish() {
  timer_->cancel();
  report(true);
  outcome_.socket = socket_.release();
  outcome_.transport_failure.clear();
  const auto done = std::move(done_);
  done(std::move(outcome_));
}

void Dial::fail_with(model::ResponseFlag flag) {
  outcome_.flags.add(flag);
  if (flag == model::ResponseFlag::kUpstreamConnectionFailure)
    outcome_.flags.add(model::ResponseFlag::kUpstreamRetryLimitExceeded);
  outcome_.lease = Lease();
  const auto done = std::move(done_);
  done(std::move(outcome_));
}

}  // namespace sockmesh::upstream

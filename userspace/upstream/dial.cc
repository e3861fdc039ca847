#include "upstream/dial.h"

#include "upstream/outlier.h"

namespace sockmesh::upstream {

namespace {

// Istio marks what it sends with the client's address, so that the answers find their way back to it
// (docs/istio.md#tproxy).
constexpr uint32_t kTproxyMark = 1337;

}  // namespace

ConnectOptions connect_options(const DialRequest& request, const model::EndpointAddress& to) {
  ConnectOptions options;
  options.keepalive = request.cluster->keepalive;
  const auto* address = std::get_if<SocketAddress>(&to);
  if (address == nullptr) return options;
  const bool ipv6 = address->ip.is_v6();
  if (request.keep_client_source && request.client.ip.is_v6() == ipv6) {
    // Not its port: the application's host is ours, so the SYN would meet the very connection it stands for
    // (same addresses, same ports). Envoy's original_src does the same.
    options.source = SocketAddress{request.client.ip, 0};
    options.transparent = true;
    options.mark = kTproxyMark;
    return options;
  }
  const auto& source = ipv6 ? request.cluster->bind_source_v6 : request.cluster->bind_source_v4;
  if (source) options.source = SocketAddress{*source, 0};
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
  auto connecting = start_connect(to, connect_options(request_, to));
  if (!connecting) {
    const int error = connecting.error().os_error;
    return attempt_failed(error == 0 ? connecting.error().message : connect_failure_text(true, error));
  }
  socket_ = event::WatchedFd(std::move(connecting->socket));
  note_own(to);
  if (connecting->established) return finish();
  timer_->set(request_.cluster->connect_timeout);
  socket_.watch(upstreams_.loop(), EPOLLOUT, [this](uint32_t) { writable(); });
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
  state_->connect_timeouts.fetch_add(1, std::memory_order_relaxed);
  attempt_failed("");
}

void Dial::report(bool connected) {
  (connected ? state_->connects : state_->connect_failures).fetch_add(1, std::memory_order_relaxed);
  HostState* host = outcome_.lease.host().get();
  if (host == nullptr) return;
  (connected ? host->connects : host->failures).fetch_add(1, std::memory_order_relaxed);
  if (!request_.cluster->outlier) return;
  const HostList& hosts = upstreams_.balancer(request_.cluster).hosts();
  if (!record(*request_.cluster->outlier, hosts, *host, connected, upstreams_.loop().now())) return;
  state_->ejections.fetch_add(1, std::memory_order_relaxed);
  state_->health_changed();
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

#include "proxy.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <future>

#include "base/strings.h"
#include "net/listening_socket.h"
#include "test_support/eventually.h"

namespace sockmesh::test {

namespace {

bool ready(int fd, short events) {
  pollfd one{fd, events, 0};
  return poll(&one, 1, static_cast<int>(patient(std::chrono::seconds(10)).count())) == 1;
}

Fd dial(const SocketAddress& to) {
  Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    FAIL("connect " << to.to_string() << ": " << std::strerror(errno));
  return fd;
}

}  // namespace

Peer::Peer(Fd socket) : socket_(std::move(socket)) {}

void Peer::say(const std::string& text) { REQUIRE(try_say(text)); }

bool Peer::try_say(const std::string& text) {
  return send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

std::string Peer::hear(size_t bytes) {
  std::string heard(bytes, '\0');
  size_t got = 0;
  while (got < bytes && ready(socket_.get(), POLLIN)) {
    const ssize_t n = recv(socket_.get(), heard.data() + got, bytes - got, 0);
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  heard.resize(got);
  return heard;
}

std::string Peer::end() {
  if (!ready(socket_.get(), POLLIN)) return "nothing happened";
  char buffer[64];
  const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, 0);
  if (n == 0) return "eof";
  if (n < 0) return errno == ECONNRESET ? "reset" : std::strerror(errno);
  return "data: " + std::string(buffer, static_cast<size_t>(n));
}

void Peer::finish() { shutdown(socket_.get(), SHUT_WR); }

void Peer::reset() {
  const linger now{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket_.reset();
}

SocketAddress Peer::local() const { return SocketAddress::local_of(socket_.get()).value(); }
SocketAddress Peer::remote() const { return SocketAddress::peer_of(socket_.get()).value(); }

Server::Server(bool ipv6, int backlog) {
  net::ListenOptions options;
  options.backlog = backlog;
  listener_ = std::move(*net::listen_on({IpAddress::loopback(ipv6), 0}, options));
  address_ = SocketAddress::local_of(listener_.get()).value();
}

Peer Server::accept() {
  REQUIRE(ready(listener_.get(), POLLIN));
  return Peer(Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
}

bool Server::nobody_waits() const {
  pollfd one{listener_.get(), POLLIN, 0};
  return poll(&one, 1, 0) == 0;
}

BlackHole::BlackHole(bool ipv6) : server(ipv6, 0) {
  for (Fd& filler : fillers) {
    filler = Fd(socket(server.address().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_storage storage{};
    const socklen_t length = server.address().to_sockaddr(storage);
    connect(filler.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  }
}

void BlackHole::answer() {
  fillers[1].reset();
  server.accept();
}

SocketAddress nobody() {
  // Bound but not listening: nobody else gets the port while the test runs.
  static const Fd holder = [] {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage storage{};
    const socklen_t length = SocketAddress{IpAddress::loopback(false), 0}.to_sockaddr(storage);
    REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
    return fd;
  }();
  return SocketAddress::local_of(holder.get()).value();
}

std::vector<event::Backend> backends() {
  std::vector<event::Backend> offered{event::Backend::kEpoll};
  if (event::Loop::create(event::Backend::kIoUring)) offered.push_back(event::Backend::kIoUring);
  return offered;
}

Proxy::Proxy(size_t max_connections, event::Backend backend, bool ipv6, Duration proxy_header_time)
    : limit_(max_connections) {
  mesh_.access_log_file = dir_.file("access.log");
  listener_.name = "bound";
  listener_.bind_to_port = true;

  loop_ = std::move(*event::Loop::create(backend));
  telemetry_ = std::make_unique<telemetry::WorkerTelemetry>(0, log_);
  data_path_ = datapath::DataPath::create(
      *loop_, loop_->uring() ? datapath::Mode::kIoUring : datapath::Mode::kEpoll, nullptr, "a test");
  upstreams_ = std::make_unique<upstream::Upstreams>(*loop_, pod_->for_upstreams(), 42);
  connections_ = std::make_unique<connection::Connections>(
      connection::Services{*loop_, *data_path_, *telemetry_, *upstreams_, limit_, proxy_header_time});
  Fd socket = std::move(*net::listen_on({IpAddress::loopback(ipv6), 0}, {}));
  address_ = SocketAddress::local_of(socket.get()).value();
  acceptor_ = std::make_unique<connection::Acceptor>(
      *loop_, *connections_, std::move(socket),
      connection::Entry{pod_, model::Direction::kOutbound, address_.port, "bound"});
  thread_ = std::thread([this] {
    loop_->run();
    acceptor_.reset();
    connections_.reset();
  });
}

Proxy::~Proxy() {
  if (stop_) go_on();
  loop_->stop();
  thread_.join();
}

model::Cluster& Proxy::cluster(const std::string& name, const std::vector<SocketAddress>& endpoints) {
  model::Cluster& cluster = clusters_[name];
  cluster.name = name;
  cluster.lb = model::LbPolicy::kRoundRobin;
  cluster.endpoints.clear();
  for (const SocketAddress& address : endpoints) {
    model::Endpoint endpoint;
    endpoint.address.emplace<SocketAddress>(address);
    cluster.endpoints.push_back(std::move(endpoint));
  }
  return cluster;
}

model::FilterChain& Proxy::chain(const std::string& name, const std::vector<std::string>& clusters) {
  model::FilterChain chain;
  chain.name = name;
  for (const std::string& cluster : clusters) chain.route.clusters.push_back({cluster, 1});
  listener_.chains.push_back(std::move(chain));
  return listener_.chains.back();
}

void Proxy::publish() {
  auto snapshot = std::make_shared<model::Snapshot>();
  snapshot->mesh = mesh_;
  listener_.addresses = {address_};
  snapshot->listeners.push_back(std::make_shared<model::Listener>(listener_));
  for (const auto& [name, cluster] : clusters_)
    snapshot->clusters.emplace(name, std::make_shared<model::Cluster>(cluster));
  snapshot->index();
  REQUIRE(log_->configure(snapshot->mesh));
  auto done = std::make_shared<std::promise<void>>();
  loop_->post([this, snapshot, done] {
    connections_->set_snapshot(snapshot);
    acceptor_->resume();
    done->set_value();
  });
  done->get_future().wait();
}

void Proxy::end() {
  auto done = std::make_shared<std::promise<void>>();
  loop_->post([this, done] {
    connections_->reset(connections_->open());
    done->set_value();
  });
  done->get_future().wait();
}

struct Proxy::Stop {
  telemetry::ConnectionState state;
  std::promise<void> reached, over;
};

void Proxy::stop_in(telemetry::ConnectionState state) {
  stop_ = std::make_shared<Stop>();
  stop_->state = state;
  loop_->post([this, stop = stop_] { stop_or_look_again(stop); });
}

// Comes round once a turn. A connection that is made in one turn is looked at in the next one at the
// earliest, and there behind this: what is ready is dispatched in the order in which it became so.
void Proxy::stop_or_look_again(const std::shared_ptr<Stop>& stop) {
  const auto flows = telemetry_->flows();
  if (!std::ranges::any_of(flows, [&](const auto& flow) { return flow.state == stop->state; }))
    return loop_->post([this, stop] { stop_or_look_again(stop); });
  stop->reached.set_value();
  stop->over.get_future().wait();
}

void Proxy::stopped() {
  REQUIRE(stop_->reached.get_future().wait_for(patient(std::chrono::seconds(10))) ==
          std::future_status::ready);
}

void Proxy::go_on() {
  stop_->over.set_value();
  stop_.reset();
}

std::vector<size_t> Proxy::open_by_turns(const std::function<void()>& first, size_t all) {
  std::promise<void> go, over;
  std::vector<size_t> turns;
  std::function<void()> look = [&] {
    turns.push_back(open());
    if (turns.back() < all) return loop_->post(look);
    over.set_value();
  };
  loop_->post([&] {
    go.get_future().wait();
    look();
  });
  first();
  go.set_value();
  over.get_future().wait();
  return turns;
}

void Proxy::lead_to(const std::string& name, const std::vector<SocketAddress>& endpoints) {
  cluster(name, endpoints);
  chain("plain", {name});
  publish();
}

Peer Proxy::connect() { return Peer(dial(address_)); }

std::vector<telemetry::ConnectionRecord> Proxy::flows() {
  auto answer = std::make_shared<std::promise<std::vector<telemetry::ConnectionRecord>>>();
  loop_->post([this, answer] { answer->set_value(telemetry_->flows()); });
  return answer->get_future().get();
}

size_t Proxy::log_lines() const {
  return static_cast<size_t>(std::ranges::count(read_text(mesh_.access_log_file), '\n'));
}

// [time] "- - -" 0 FLAGS DETAILS TERMINATION "FAILURE" rx tx ms - "-" "-" "-" "-" "UPSTREAM" CLUSTER ...
LogLine Proxy::logged() {
  REQUIRE(eventually([&] { return log_lines() > lines_read_; }));
  const std::string text = read_text(mesh_.access_log_file);
  const auto words = split(split(text, '\n', true)[lines_read_++], ' ', true);
  REQUIRE(words.size() == 24);
  const auto word = [&](size_t at) {
    std::string_view one = words[at];
    if (one.size() >= 2 && one.front() == '"') one = one.substr(1, one.size() - 2);
    return std::string(one);
  };
  return {word(5),  word(6),  word(7),  word(8),  word(9),  word(10),
          word(17), word(18), word(19), word(20), word(21), word(22)};
}

}  // namespace sockmesh::test

// The composition root: sockmesh-agent as named steps, in an order that matters. Listening comes first, so
// that from the very beginning a redirected connection waits in a backlog instead of being refused; what
// needs privileges comes before they are dropped; threads are made after that, because capabilities belong to
// threads. Everything that can fail at start-up is an error with a name; once it runs, nothing that a peer or
// a configuration sends ends the agent.
#include "server/server.h"

#include <malloc.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/admin_server.h"
#include "interception/listening_socket.h"
#include "server/agent.h"
#include "server/configuration.h"
#include "server/drain.h"
#include "server/memory.h"
#include "server/namespace_claim.h"
#include "server/pod_addresses.h"
#include "server/privileges.h"
#include "server/run_dir.h"
#include "server/shutdown.h"
#include "upstream/resolver.h"

namespace sockmesh::server {

namespace {

using interception::PortGroup;

// Descriptors that are not connections: listeners, rings, maps, logs; and the admin server's.
const size_t kReservedDescriptors = 128 + admin::kMaxAdminDescriptors;

// Reading and compiling take many times what their result keeps. After the first pause a burst of changes is
// over, and start-up as well; then, while nobody is connected, from time to time what answering cost. While
// somebody is, what many flows held at a time and few hold now.
constexpr Duration kTrimAfter = std::chrono::seconds(1);
constexpr Duration kTrimPeriod = std::chrono::seconds(10);
constexpr size_t kFreeHeapKept = 8u << 20;

// Says how far the start has come and how long it took since the last time.
class Checkpoints {
 public:
  void reached(std::string_view what) {
    const MonotonicTime now = monotonic_now();
    spdlog::debug("{} ({} ms)", what,
                  std::chrono::duration_cast<std::chrono::milliseconds>(now - last_).count());
    last_ = now;
  }

 private:
  MonotonicTime last_ = monotonic_now();
};

// Few arenas: memory that one thread freed is then there for the others, and the idle agent stays small.
void prepare_process(const Options& options) {
  mallopt(M_ARENA_MAX, 2);
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("agent", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  signal(SIGPIPE, SIG_IGN);
}

// Blocks the signals that are asked for by descriptor, in all threads made from now on.
Result<Fd> signal_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return fail(os_error("pthread_sigmask", error));
  Fd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(os_error("signalfd"));
  return fd;
}

struct CaptureSocket {
  Fd socket;
  connection::Entry entry;
};

// The capture sockets of one worker: outbound and inbound, each in both families. A gateway has none, nor has
// interception mode NONE. The first worker's are the first of their ports, the others' share with them.
Result<std::vector<CaptureSocket>> bind_capture(const Options& options, bool ipv6,
                                                interception::PortGroup group) {
  std::vector<CaptureSocket> sockets;
  if (options.identity.role == config::Role::kGateway || options.interception == Interception::kNone)
    return sockets;
  const auto bind = [&](model::Direction direction, uint16_t port, bool transparent) -> Result<void> {
    for (const bool six : {false, true}) {
      if (six && !ipv6) continue;
      interception::ListenOptions listen;
      listen.transparent = transparent;
      listen.group = group;
      SOCKMESH_TRY(socket, interception::listen_on({IpAddress::any(six), port}, listen));
      sockets.push_back({std::move(socket), {direction, port, ""}});
    }
    return {};
  };
  // TPROXY is Istio's for inbound only: outbound is redirected in either mode (docs/istio.md#tproxy).
  const model::Ports& ports = options.identity.ports;
  const bool tproxy = options.interception == Interception::kTproxy;
  SOCKMESH_CHECK(bind(model::Direction::kOutbound, ports.outbound, false));
  SOCKMESH_CHECK(bind(model::Direction::kInbound, ports.inbound, tproxy));
  return sockets;
}

// What a second agent is told of this one.
std::string holder_line(const Options& options) {
  std::string line = options.identity.pod.empty()
                         ? ""
                         : fmt::format("pod {}.{}, ", options.identity.pod, options.identity.ns);
  return line + "run-dir " + options.run_dir;
}

size_t max_connections(const Options& options, size_t descriptors) {
  const size_t possible =
      descriptors > 2 * kReservedDescriptors ? (descriptors - kReservedDescriptors) / 2 : 64;
  return options.max_connections == 0 ? possible : std::min(options.max_connections, possible);
}

WorkerShared shared_by_workers(Agent& agent) {
  connection::Settings settings;
  const config::ProxyIdentity& self = agent.options.identity;
  if (self.role == config::Role::kSidecar) settings.capture_ports = {self.ports.outbound, self.ports.inbound};
  settings.keep_client_source = agent.options.interception == Interception::kTproxy;
  return {agent.clusters,
          agent.names,
          agent.own_dials,
          agent.source_ports,
          agent.limit,
          agent.access_log,
          agent.options.data_path,
          agent.splicing.maps.get(),
          agent.splicing.unavailable,
          std::move(settings)};
}

admin::AdminOptions admin_options(const Options& options, const RunDir& run_dir) {
  admin::AdminOptions admin;
  admin.socket_path = run_dir.socket_path();
  admin.admin_port = options.identity.ports.admin;
  admin.status_port = options.identity.ports.status;
  admin.readiness_port = options.identity.ports.readiness;
  admin.metrics_port = options.identity.ports.metrics;
  admin.app_annotations = options.app_annotations;
  admin.app_probers = options.app_probers;
  if (!options.probe_localhost && !options.identity.ips.empty())
    admin.app_address = options.identity.ips.front();
  return admin;
}

// What there can be once: taken before anything else, and had until the end.
struct Held {
  size_t descriptors;
  RunDir run_dir;
  NamespaceClaim claim;
  Fd signals;
};

Result<Held> take_hold(const Options& options) {
  SOCKMESH_TRY(descriptors, raise_descriptor_limit());
  SOCKMESH_TRY(run_dir, RunDir::claim(options.run_dir, options.uid, options.gid));
  SOCKMESH_TRY(claim, NamespaceClaim::take(holder_line(options)));
  SOCKMESH_TRY(signals, signal_descriptor());
  return Held{descriptors, std::move(run_dir), std::move(claim), std::move(signals)};
}

// Of each worker.
Result<std::vector<std::vector<CaptureSocket>>> bind_all_capture(const Options& options) {
  const bool ipv6 = interception::ipv6_available();
  std::vector<std::vector<CaptureSocket>> all;
  for (unsigned i = 0; i < options.workers; ++i) {
    SOCKMESH_TRY(sockets, bind_capture(options, ipv6, i == 0 ? PortGroup::kFirst : PortGroup::kMember));
    all.push_back(std::move(sockets));
  }
  return all;
}

void prepare_lanes(Agent& agent) {
  const auto& disturbance = agent.options.disturbance;
  agent.splicing =
      prepare_splicing(agent.options.data_path, agent.options.workers, disturbance.value_or(Disturbance{}));
  spdlog::info("lane sk_skb {}", agent.splicing.verdict());
  if (!disturbance) return;
  spdlog::warn("this agent disturbs itself on purpose, for tests alone: --disturb {}",
               to_string(*disturbance));
  disturb_from_now_on(*disturbance);
}

Result<void> keep_few_privileges(const Options& options) {
  KeptPrivileges kept;
  kept.bind_low_ports = options.identity.role == config::Role::kGateway;
  kept.transparent_sources = options.interception == Interception::kTproxy;
  return drop_privileges(options.uid, options.gid, kept);
}

Result<void> start_workers(Agent& agent, std::vector<std::vector<CaptureSocket>> capture) {
  for (unsigned i = 0; i < agent.options.workers; ++i) {
    SOCKMESH_TRY(worker, Worker::create(i, shared_by_workers(agent)));
    worker->start();
    for (CaptureSocket& one : capture[i])
      worker->listen(std::move(one.socket), std::move(one.entry), agent.listening);
    agent.workers.push_back(std::move(worker));
  }
  return {};
}

// Gives memory back when nobody needs it.
class Trim {
 public:
  Trim(event::Loop& loop, const Agent& agent) : agent_(agent), timer_(loop.timer([this] { look(); })) {}
  void soon() { timer_->set(kTrimAfter); }

 private:
  void look() {
    if (agent_.active() == 0)
      give_back_memory();
    else if (free_heap_bytes() > kFreeHeapKept)
      give_back_free_heap();
    timer_->set(kTrimPeriod);
  }

  const Agent& agent_;
  const std::unique_ptr<event::Timer> timer_;
};

// Who acts by a new snapshot, in this order: the access log has its format before a connection can be logged
// by it; workers route before ports are opened that they serve; what nobody routes to any more is forgotten
// after that.
void add_observers(Agent& agent, upstream::Resolver& resolver, Trim& trim) {
  const auto observe = [&](Publication::Observer observer) { agent.publication.add(std::move(observer)); };
  observe([&agent](const model::SnapshotPtr& now) {
    if (const auto warnings = agent.access_log->configure(now->mesh); !warnings)
      spdlog::warn("access log: {}; it stays as it was", warnings.error().message);
  });
  observe([&agent](const model::SnapshotPtr& now) {
    for (const auto& worker : agent.workers) worker->publish(now);
  });
  observe([&agent](const model::SnapshotPtr& now) { agent.ports->want(wanted_binds(*now)); });
  observe([&agent](const model::SnapshotPtr& now) { agent.clusters.keep_only(*now); });
  observe([&resolver](const model::SnapshotPtr& now) {
    resolver.want(upstream::names_of(*now), upstream::families_of(*now));
  });
  observe([&trim](const model::SnapshotPtr&) { trim.soon(); });
}

void on_signal(int number, Agent& agent, Shutdown& shutdown) {
  spdlog::info("signal {}", number);
  if (number == SIGTERM) shutdown.begin();
  if (number == SIGINT) shutdown.hurry();
  if (number != SIGHUP) return;
  agent.access_log->reopen();
  agent.configuration->reload();
}

void say_running(const Agent& agent) {
  spdlog::info("sockmesh-agent {} runs as {} with {} workers ({})", SOCKMESH_VERSION,
               agent.options.identity.role == config::Role::kGateway ? "gateway" : "sidecar",
               agent.workers.size(),
               agent.workers.front()->backend() == event::Backend::kIoUring ? "io_uring" : "epoll");
}

Result<void> serve(const Options& given) {
  Checkpoints checkpoints;
  SOCKMESH_TRY(found, find_addresses());
  const Options options = with_interface_addresses(given, reachable_addresses(std::move(found)));
  SOCKMESH_TRY(held, take_hold(options));
  SOCKMESH_TRY(capture, bind_all_capture(options));
  checkpoints.reached("listening");

  // Made before the agent, and so outliving it: the agent's configuration watches with it.
  SOCKMESH_TRY(loop, event::Loop::create(event::Backend::kEpoll));
  NamespaceClaim holding = std::move(held.claim);  // here, so that it goes before the loop
  holding.answer(*loop);
  Agent agent(options, max_connections(options, held.descriptors));
  // Let go of when nobody listens on a capture port any more, so that the next agent can have the namespace
  // while this one sees its connections through; a gateway, which may open another port at any time, keeps it
  // until it accepts nothing more.
  agent.listening =
      Worker::Lease(&holding, [&loop](NamespaceClaim* claim) { loop->post([claim] { claim->release(); }); });
  agent.ports = std::make_unique<BoundPorts>(*loop, agent.port_effects());
  prepare_lanes(agent);
  checkpoints.reached("data path tested");

  SOCKMESH_CHECK(keep_few_privileges(options));
  checkpoints.reached("privileges dropped");
  SOCKMESH_CHECK(start_workers(agent, std::move(capture)));
  checkpoints.reached("workers started");

  Trim trim(*loop, agent);
  auto resolver =
      upstream::Resolver::create(*loop, agent.names, {options.resolv_conf, options.dns_servers}, [&agent] {
        for (const auto& worker : agent.workers) worker->names_changed();
      });
  if (!resolver) return fail(resolver.error().within("DNS"));
  add_observers(agent, **resolver, trim);
  const auto publish = [&agent](model::SnapshotPtr made) { agent.publication.publish(std::move(made)); };
  agent.configuration = std::make_unique<Configuration>(*loop, folder_origin(options.config_folder),
                                                        std::vector<Subscriber>{{options.identity, publish}});
  agent.configuration->start();
  checkpoints.reached("configuration read");

  Shutdown shutdown(*loop, agent, [&loop] { loop->stop(); });
  const auto quit = [&loop, &shutdown] { loop->post([&shutdown] { shutdown.begin(); }); };
  Drain drain(*loop, agent);
  const auto begin_drain = [&loop, &drain](const admin::DrainRequest& request) {
    loop->post([&drain, request] { drain.begin(request); });
  };
  SOCKMESH_TRY(admin, admin::AdminServer::start(admin_options(options, held.run_dir),
                                                admin_sources(agent, begin_drain, quit)));
  for (const std::string& warning : admin->warnings()) spdlog::warn("admin: {}", warning);
  checkpoints.reached("admin serving");

  event::WatchedFd signalled(std::move(held.signals));
  signalled.watch(*loop, EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info{};
    while (read(signalled.get(), &info, sizeof info) == sizeof info)
      on_signal(static_cast<int>(info.ssi_signo), agent, shutdown);
  });
  say_running(agent);
  loop->run();

  // Nobody may ask any more before what they ask about goes.
  admin->stop();
  agent.workers.clear();
  agent.access_log->flush(std::chrono::seconds(1));
  spdlog::info("ended");
  return {};
}

}  // namespace

int run(const Options& options) {
  prepare_process(options);
  const auto served = serve(options);
  if (served) return 0;
  spdlog::critical("{}", served.error().message);
  return 1;
}

}  // namespace sockmesh::server

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
#include "server/agent.h"
#include "server/capture_sockets.h"
#include "server/connection_limit.h"
#include "server/drain.h"
#include "server/memory.h"
#include "server/namespace_claim.h"
#include "server/pod_addresses.h"
#include "server/privileges.h"
#include "server/run_dir.h"
#include "server/shutdown.h"

namespace sockmesh::server {

namespace {

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

// What a second agent is told of this one.
std::string holder_line(const Options& options) {
  std::string line = options.identity.pod.empty()
                         ? ""
                         : fmt::format("pod {}.{}, ", options.identity.pod, options.identity.ns);
  return line + "run-dir " + options.run_dir;
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

// What there can be once, taken before anything else and had until the end, and the main thread's loop.
struct Held {
  size_t descriptors;
  std::unique_ptr<event::Loop> loop;
  RunDir run_dir;
  NamespaceClaim claim;  // the loop answers who asks for it
  Fd signals;
};

Result<Held> take_hold(const Options& options) {
  SOCKMESH_TRY(descriptors, raise_descriptor_limit());
  SOCKMESH_TRY(run_dir, RunDir::claim(options.run_dir, options.uid, options.gid));
  SOCKMESH_TRY(claim, NamespaceClaim::take(holder_line(options)));
  SOCKMESH_TRY(signals, signal_descriptor());
  SOCKMESH_TRY(loop, event::Loop::create(event::Backend::kEpoll));
  return Held{descriptors, std::move(loop), std::move(run_dir), std::move(claim), std::move(signals)};
}

Splicing prepare_lanes(const Options& options) {
  const auto& disturbance = options.disturbance;
  Splicing splicing =
      prepare_splicing(options.data_path, options.workers, disturbance.value_or(Disturbance{}));
  spdlog::info("lane sk_skb {}", splicing.verdict());
  if (!disturbance) return splicing;
  spdlog::warn("this agent disturbs itself on purpose, for tests alone: --disturb {}",
               to_string(*disturbance));
  disturb_from_now_on(*disturbance);
  return splicing;
}

Result<void> keep_few_privileges(const Options& options) {
  KeptPrivileges kept;
  kept.bind_low_ports = options.identity.role == config::Role::kGateway;
  kept.transparent_sources = options.interception == Interception::kTproxy;
  return drop_privileges(options.uid, options.gid, kept);
}

// What takes privileges to have.
struct Prepared {
  AppLanes app_lanes;
  std::vector<std::vector<CaptureSocket>> capture;
  Splicing splicing;
};

Result<Prepared> prepare(const Options& options, const pod::PodPtr& pod, Checkpoints& checkpoints) {
  AppLanes app_lanes = prepare_app_lanes(options);
  spdlog::info("lane direct {}", app_lanes.verdict());
  checkpoints.reached("rules asked");
  SOCKMESH_TRY(capture, bind_capture_sockets(pod, options.interception, options.workers));
  checkpoints.reached("listening");
  Splicing splicing = prepare_lanes(options);
  checkpoints.reached("data path tested");
  SOCKMESH_CHECK(keep_few_privileges(options));
  checkpoints.reached("privileges dropped");
  return Prepared{std::move(app_lanes), std::move(capture), std::move(splicing)};
}

// Let go of when nobody listens on a capture port any more, so that the next agent can have the namespace
// while this one sees its connections through; a gateway, which may open another port at any time, keeps it
// until it accepts nothing more.
ServedPod::Lease lease_of(NamespaceClaim& held, event::Loop& loop) {
  return {&held, [&loop](NamespaceClaim* claim) { loop.post([claim] { claim->release(); }); }};
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

void on_signal(int number, Agent& agent, Shutdown& shutdown) {
  spdlog::info("signal {}", number);
  if (number == SIGTERM) shutdown.begin();
  if (number == SIGINT) shutdown.hurry();
  if (number != SIGHUP) return;
  agent.access_log->reopen();
  agent.reload();
}

void say_running(const Agent& agent) {
  spdlog::info("sockmesh-agent {} runs as {} with {} workers ({})", SOCKMESH_VERSION,
               to_string(agent.options.identity.role), agent.workers().size(),
               agent.workers().front()->backend() == event::Backend::kIoUring ? "io_uring" : "epoll");
}

// The agent at work, until a signal or the admin API ends it.
Result<void> run_until_told(Held& held, Agent& agent, ServedPod& served, Checkpoints& checkpoints) {
  event::Loop& loop = *held.loop;
  Shutdown shutdown(loop, agent, [&loop] { loop.stop(); });
  Drain drain(loop, agent);
  const auto quit = [&] { loop.post([&shutdown] { shutdown.begin(); }); };
  const auto begin_drain = [&](const admin::DrainRequest& request) {
    loop.post([&drain, request] { drain.begin(request); });
  };
  SOCKMESH_TRY(admin, admin::AdminServer::start(admin_options(agent.options, held.run_dir),
                                                admin_sources(agent, served, begin_drain, quit)));
  for (const std::string& warning : admin->warnings()) spdlog::warn("admin: {}", warning);
  checkpoints.reached("admin serving");

  event::WatchedFd signalled(std::move(held.signals));
  signalled.watch(loop, EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info{};
    while (read(signalled.get(), &info, sizeof info) == sizeof info)
      on_signal(static_cast<int>(info.ssi_signo), agent, shutdown);
  });
  say_running(agent);
  loop.run();
  admin->stop();  // nobody may ask any more before what they ask about goes
  return {};
}

Result<void> serve(const Options& given) {
  Checkpoints checkpoints;
  SOCKMESH_TRY(found, find_addresses());
  const Options options = with_interface_addresses(given, reachable_addresses(std::move(found)));
  SOCKMESH_TRY(held, take_hold(options));
  held.claim.answer(*held.loop);
  const auto pod = std::make_shared<pod::Pod>(options.identity);
  SOCKMESH_TRY(prepared, prepare(options, pod, checkpoints));

  const size_t most = connection_limit(options.max_connections, held.descriptors);
  SOCKMESH_TRY(agent, Agent::create(*held.loop, options, most, std::move(prepared.splicing)));
  SOCKMESH_TRY(served, agent->serve(pod, {options.resolv_conf, options.dns_servers},
                                    lease_of(held.claim, *held.loop)));
  agent->carry_direct(*served, std::move(prepared.app_lanes));
  Trim trim(*held.loop, *agent);
  served->publication().add([&trim](const model::SnapshotPtr&) { trim.soon(); });
  agent->start();
  served->listen(std::move(prepared.capture));
  checkpoints.reached("workers started");
  agent->configure(folder_origin(options.config_folder));
  checkpoints.reached("configuration read");
  SOCKMESH_CHECK(run_until_told(held, *agent, *served, checkpoints));

  const auto access_log = agent->access_log;
  agent.reset();
  access_log->flush(std::chrono::seconds(1));
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

// sm-streams: a client and a server of checked streams, to put real traffic through a relay and be sure of
// every byte. Prints one JSON line with the tally at its end; exits 0 only if every flow went exactly as
// planned.
//
//   sm-streams server --listen 10.0.0.2:7000 [--greeting 4096] [--flows N]
//   sm-streams client --connect 10.0.0.2:7000 --mode upload --flows 1000 --concurrency 50 --bytes 65536
//
// The server prints {"listening": "IP:PORT"} when it does (port 0 is allowed) and ends after --flows flows or
// on SIGTERM. SIGUSR1 lets flows that hold (--hold-at, --stall-after) go on; the client prints {"holding": N}
// when all of its flows wait for that.
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/address.h"
#include "base/result.h"
#include "test_support/eventually.h"
#include "test_support/scenarios.h"
#include "test_support/stream_loop.h"

namespace sockmesh::test {
namespace {

struct Options {
  std::vector<std::string> listen;
  std::string connect;
  std::string mode = "echo";
  uint64_t flows = 0;
  uint64_t concurrency = 0;
  uint64_t bytes = 65536;
  uint64_t greeting = 0;
  uint64_t seed = 1;
  uint64_t hold_at = kNever;
  uint64_t stall_after = kNever;
  uint32_t write_chunk = 0;
  double timeout = 60;
};

void print(const nlohmann::json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

int finish(const char* role, const Tally& tally, std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  print({{"role", role},
         {"ok", tally.failed == 0},
         {"flows", tally.flows},
         {"failed", tally.failed},
         {"sent", tally.sent},
         {"received", tally.received},
         {"resets", tally.resets},
         {"seconds", took.count()},
         {"errors", tally.errors}});
  return tally.failed == 0 ? 0 : 1;
}

Fd signal_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return Fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

// The signal that came in, 0 if none.
int take_signal(int fd) {
  signalfd_siginfo info;
  return read(fd, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

// Small writes have to leave as they are written.
void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<Fd> listen_on(const std::string& text) {
  SOCKMESH_TRY(address, SocketAddress::parse(text));
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 ||
      listen(fd.get(), 4096) != 0) {
    return fail(os_error("listen " + text));
  }
  SOCKMESH_TRY(local, SocketAddress::local_of(fd.get()));
  print({{"listening", local.to_string()}});
  return fd;
}

Result<int> run_server(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  StreamLoop loop;
  const Fd signals = signal_descriptor();
  loop.watch(signals.get());
  std::vector<Fd> listeners;
  for (const std::string& text : options.listen) {
    SOCKMESH_TRY(fd, listen_on(text));
    loop.watch(fd.get());
    listeners.push_back(std::move(fd));
  }

  EndPlan plan;
  plan.learn = true;
  plan.send_bytes = options.greeting;
  plan.receipt = options.greeting > 0;
  while (options.flows == 0 || loop.tally().flows < options.flows || loop.open() > 0) {
    for (const int fd : loop.wait(std::chrono::milliseconds(1000))) {
      if (fd == signals.get()) {
        if (take_signal(fd) == SIGUSR1) {
          loop.resume();
          continue;
        }
        loop.give_up("the server was told to end");
        return finish("server", loop.tally(), start);
      }
      while (true) {
        Fd accepted(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!accepted) break;
        no_delay(accepted.get());
        plan.id = options.seed + loop.tally().flows;
        loop.add(std::move(accepted), plan);
      }
    }
  }
  return finish("server", loop.tally(), start);
}

Result<Fd> start_connect(const SocketAddress& to) {
  Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(os_error("socket"));
  no_delay(fd.get());
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 && errno != EINPROGRESS) {
    return fail(os_error("connect " + to.to_string()));
  }
  return fd;
}

FlowPlan plan_of(const Options& options, Scenario scenario, uint64_t flow) {
  FlowPlan plan = plan_flow(scenario, options.seed * 1'000'000 + flow, options.bytes);
  if (options.hold_at != kNever) plan.client.hold_at = options.hold_at;
  if (options.stall_after != kNever) plan.server.stall_after = options.stall_after;
  if (options.write_chunk > 0) plan.client.write_chunk = plan.server.write_chunk = options.write_chunk;
  return plan;
}

Result<int> run_client(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto deadline = start + patient(std::chrono::milliseconds(std::llround(options.timeout * 1000)));
  SOCKMESH_TRY(to, SocketAddress::parse(options.connect));
  const auto scenario = scenario_of(options.mode);
  if (!scenario)
    return fail("--mode '{}': expected echo, upload, download, duplex, ... (see --help)", options.mode);
  const uint64_t flows = std::max<uint64_t>(options.flows, 1);
  const uint64_t concurrency = options.concurrency > 0 ? options.concurrency : flows;

  StreamLoop loop;
  const Fd signals = signal_descriptor();
  loop.watch(signals.get());
  bool said_holding = false;
  for (uint64_t started = 0; started < flows || loop.open() > 0;) {
    while (started < flows && loop.open() < concurrency) {
      auto fd = start_connect(to);
      const FlowPlan plan = plan_of(options, *scenario, started++);
      if (fd) {
        loop.add(std::move(*fd), plan.client, plan.server);
      } else {
        ++loop.tally().flows;
        loop.tally().count_failure(fd.error().message);
      }
    }
    for (const int fd : loop.wait(std::chrono::milliseconds(100))) {
      if (take_signal(fd) == SIGUSR1) {
        loop.resume();
      } else {
        loop.give_up("the client was told to end");
        return finish("client", loop.tally(), start);
      }
    }
    if (!said_holding && started == flows && loop.all_holding()) {
      print({{"holding", loop.open()}});
      said_holding = true;
    }
    if (std::chrono::steady_clock::now() > deadline) loop.give_up("not done in time");
  }
  return finish("client", loop.tally(), start);
}

// Thousands of flows need as many descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Checked TCP streams, client and server", "sm-streams"};
  app.require_subcommand(1);
  CLI::App* server = app.add_subcommand("server", "accepts flows and does what their clients ask for");
  server->add_option("--listen", options.listen, "IP:PORT, may be repeated")->required();
  server->add_option("--greeting", options.greeting,
                     "speak first: send so many bytes (64 or more) after accept");
  server->add_option("--flows", options.flows, "end after so many flows (0: on SIGTERM)");
  server->add_option("--seed", options.seed, "where the ids of greetings start");
  CLI::App* client = app.add_subcommand("client", "makes flows and checks them");
  client->add_option("--connect", options.connect, "IP:PORT")->required();
  std::string modes;
  for (const Scenario scenario : all_scenarios()) modes += " " + std::string(to_string(scenario));
  client->add_option("--mode", options.mode, "one of:" + modes);
  client->add_option("--flows", options.flows, "how many flows (1)");
  client->add_option("--concurrency", options.concurrency, "how many at once (all)");
  client->add_option("--bytes", options.bytes, "of each direction that carries data, 64 or more (65536)");
  client->add_option("--seed", options.seed, "different seeds send different bytes");
  client->add_option("--hold-at", options.hold_at, "stop sending at this byte until SIGUSR1");
  client->add_option("--stall-after", options.stall_after,
                     "the server stops reading there until it gets SIGUSR1");
  client->add_option("--write-chunk", options.write_chunk, "bytes per write, both ends");
  client->add_option("--timeout", options.timeout,
                     "seconds until flows that are not done count as failed (60), times SOCKMESH_TEST_SLOW");
  CLI11_PARSE(app, argc, argv);

  raise_descriptor_limit();
  const Result<int> result = server->parsed() ? run_server(options) : run_client(options);
  if (!result) {
    std::fprintf(stderr, "sm-streams: %s\n", result.error().message.c_str());
    return 2;
  }
  return *result;
}

}  // namespace
}  // namespace sockmesh::test

int main(int argc, char** argv) { return sockmesh::test::main(argc, argv); }

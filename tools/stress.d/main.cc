// sm-stress: the engine of tools/stress. Options, phases (a mode of the agents with a mode of interception),
// progress, and the summary.
#include <sys/resource.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <thread>

#include "base/strings.h"
#include "commotion.h"
#include "enclosure.h"
#include "test_support/eventually.h"
#include "world.h"

namespace sockmesh::stress {
namespace {

constexpr int kWrong = 1, kMisused = 2, kCannot = 77;

struct Options {
  uint64_t seed = 1, flows = 10'000, first = 0;
  std::string mode = "auto", interception = "both", kinds, disturb = "delay=10%,longest=1ms,flip=30%";
  size_t parallel = 24, most_wrong = 20;
  unsigned threads = 2, load = 0;
  double seconds = 0, loss = 0, report = 10;
  std::string delay = "0s";
  bool calm = false, favour = false;
};

std::atomic<int> signals{0};

// A phase's part of the summary.
struct Outcome {
  uint64_t flows = 0, bytes = 0, failed = 0;
  double seconds = 0;
};

std::string repeat_command(const Options& options, const std::string& mode, const std::string& interception,
                           uint64_t first, uint64_t flows) {
  std::string text = fmt::format("tools/stress --mode {} --interception {} --seed {} --first {} --flows {}",
                                 mode, interception, options.seed, first, flows);
  if (!options.kinds.empty()) text += " --kinds " + options.kinds;
  text += options.disturb.empty() ? " --disturb ''" : " --disturb " + options.disturb;
  if (options.calm) text += " --calm";
  if (options.favour) text += " --favour";
  if (options.load) text += fmt::format(" --load {}", options.load);
  if (options.loss > 0) text += fmt::format(" --loss {}", options.loss);
  if (options.delay != "0s") text += " --delay " + options.delay;
  if (options.parallel != Options{}.parallel) text += fmt::format(" --parallel {}", options.parallel);
  if (options.threads != Options{}.threads) text += fmt::format(" --threads {}", options.threads);
  return text;
}

double since(MonotonicTime start) { return std::chrono::duration<double>(monotonic_now() - start).count(); }

std::string progress(const std::string& phase, const Run& run, const World& world, double took,
                     const Commotion* commotion) {
  const World::Moved moved = world.moved();
  const uint64_t all = moved.user_bytes + moved.spliced_bytes + moved.direct_bytes, flows = run.flows;
  const auto percent = [&](uint64_t part) {
    return all == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all);
  };
  return fmt::format(
      "{} {:6.1f} s  {} flows ({:.0f}/s)  {:.2f} GB  to lane 1: {} (refused {})  redirected {:.0f}%  direct "
      "{:.0f}%  "
      "switches {}  "
      "config changes {}  wrong {}\n",
      phase, took, flows, static_cast<double>(flows) / std::max(took, 0.001),
      static_cast<double>(run.bytes) / 1e9, moved.spliced_flows, moved.refused, percent(moved.spliced_bytes),
      percent(moved.direct_bytes), commotion ? commotion->switches() : 0,
      commotion ? commotion->changes() : 0, run.failed.load());
}

void print_new_failures(const Run& run, const std::function<std::string(uint64_t)>& repeat, size_t& printed) {
  for (; printed < run.failures.size(); ++printed) {
    const Run::Failure& failure = run.failures[printed];
    fmt::print("WRONG flow {} ({}): {}\n{}  again: {}\n", failure.number, failure.kind, failure.what,
               failure.details, repeat(failure.number));
  }
}

// A share of the drivers' threads: each its own slots, all the same flows to take from.
std::vector<std::thread> start_drivers(Run& run, World& world, unsigned threads) {
  std::vector<std::vector<Listener>> shares(threads);
  size_t turn = 0;
  for (Listener& listener : world.listen()) shares[turn++ % threads].push_back(std::move(listener));
  std::vector<std::thread> drivers;
  for (auto& share : shares)
    drivers.emplace_back([&run, &world, share = std::move(share)]() mutable {
      world.client_pod().netns.run([&] { Driver(run, std::move(share)).drive(); });
    });
  return drivers;
}

WorldOptions world_options(const Options& options, const std::string& mode, const std::string& interception) {
  WorldOptions world{.mode = mode, .interception = interception, .slots = options.parallel};
  if (!options.disturb.empty()) {
    world.disturbance = *parse_disturbance(options.disturb);
    world.disturbance->seed = options.seed;
  }
  world.favour = options.favour;
  world.loss_percent = options.loss;
  world.delay = std::chrono::duration_cast<std::chrono::microseconds>(*parse_duration(options.delay));
  return world;
}

// Number `first` and those that follow, between the two pods of `world`.
void plan_run(Run& run, const Options& options, const World& world, uint64_t first, uint64_t flows) {
  run.seed = options.seed;
  for (const std::string_view kind : split(options.kinds, ',', true)) run.kinds.push_back(kind);
  run.patience = test::patient(std::chrono::seconds(30));
  run.service4 = world.service(false);
  run.service6 = world.service(true);
  run.lossy = options.loss > 0;
  run.next = first;
  run.end = first + flows;
}

// A phase on its way: what it is called, how a flow of it is had again, and what has been printed of it.
struct Phase {
  const std::string& name;
  const std::function<std::string(uint64_t)> repeat;
  const MonotonicTime start = monotonic_now();
  size_t printed = 0;
};

// Until all drivers have ended: tells what goes wrong and how far it is, and has them stop when it is time.
// Returns what an agent that died has to say, "" if none did.
std::string watch(Phase& phase, Run& run, World& world, const Options& options, const Commotion* commotion,
                  const std::atomic<size_t>& driving) {
  std::string dead;
  double reported = 0;
  // What is slower than this by its plan does not exist.
  const double longest = options.seconds + 2 * std::chrono::duration<double>(run.patience).count();
  while (driving > 0) {
    run.ledger->follow();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const double took = since(phase.start);
    if (options.seconds > 0 && took > options.seconds) run.stop = true;
    if (options.seconds > 0 && took > longest) run.hurry = true;
    if (signals > 0 || !dead.empty()) run.hurry = run.stop = run.abandoned = true;
    {
      const std::lock_guard lock(run.mutex);
      print_new_failures(run, phase.repeat, phase.printed);
      if (run.failed > options.most_wrong) run.stop = true;
    }
    if (dead.empty()) dead = world.dead_agent();
    if (dead.empty() && took - reported > options.report) {
      reported = took;
      fmt::print("{}", progress(phase.name, run, world, reported, commotion));
      std::fflush(stdout);
    }
  }
  return dead;
}

// What is wrong once all flows are over: of the logs, unless an agent died or a flow was wrong, and of the
// agents' ends.
uint64_t wrong_in_the_end(const Phase& phase, Run& run, World& world, bool dead) {
  uint64_t wrong = 0;
  if (!dead && run.failed == 0) {
    if (const std::string lines = run.ledger->left_over(); !lines.empty()) {
      fmt::print("WRONG {}: access-log lines of no flow:\n{}", phase.name, lines);
      ++wrong;
    }
  }
  for (const std::string& what : world.end()) {
    fmt::print("WRONG {}: {}\n", phase.name, what);
    ++wrong;
  }
  return wrong;
}

Outcome run_phase(const Options& options, const std::string& mode, const std::string& interception,
                  uint64_t first, uint64_t flows, bool& missing) {
  const std::string name = fmt::format("{:8} {:8}", mode, interception);
  World world(world_options(options, mode, interception));
  if (const std::string why = world.missing(); !why.empty()) {
    fmt::print("{}  NOT RUN: {}\n", name, why);
    missing = true;
    return {};
  }
  auto ledger = Ledger::open(world.client().log_path(), world.server().log_path());
  if (!ledger) throw std::runtime_error(ledger.error().message);
  Run run;
  run.ledger = ledger->get();
  plan_run(run, options, world, first, flows);

  using Lanes = Commotion::Lanes;
  const Lanes lanes = mode == "direct"                      ? Lanes::kSpliceAndDirect
                      : mode == "auto" || mode == "sockmap" ? Lanes::kSplice
                                                            : Lanes::kNone;
  auto commotion = options.calm ? nullptr : std::make_unique<Commotion>(world, options.seed, lanes);
  Phase phase{name, [&](uint64_t number) { return repeat_command(options, mode, interception, number, 1); }};
  std::vector<std::thread> drivers = start_drivers(run, world, options.threads);
  std::atomic<size_t> driving{drivers.size()};
  std::thread joiner([&] {
    for (std::thread& driver : drivers) {
      driver.join();
      --driving;
    }
  });
  const std::string dead = watch(phase, run, world, options, commotion.get(), driving);
  joiner.join();

  const double took = since(phase.start);
  print_new_failures(run, phase.repeat, phase.printed);
  Outcome outcome{run.flows, run.bytes, run.failed, took};
  const std::string last = dead.empty() ? progress(name, run, world, took, commotion.get()) : "";
  commotion.reset();
  outcome.failed += wrong_in_the_end(phase, run, world, !dead.empty());
  fmt::print("{}", last);
  for (const auto& [kind, count] : run.failed_by_kind)
    fmt::print("{}  wrong flows of kind {}: {}\n", name, kind, count);
  fmt::print("{}  {}: {}\n", name, outcome.failed == 0 ? "ok" : "WRONG",
             repeat_command(options, mode, interception, first, flows));
  std::fflush(stdout);
  return outcome;
}

std::vector<std::string> chosen(const std::string& word, const std::string& all,
                                std::vector<std::string> each) {
  return word == all ? each : std::vector<std::string>{word};
}

int run(const Options& options) {
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals; };
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  utsname kernel{};
  uname(&kernel);
  const auto modes = chosen(options.mode, "all", {"auto", "sockmap", "io_uring", "epoll", "direct"});
  const auto interceptions = chosen(options.interception, "both", {"redirect", "tproxy"});
  fmt::print(
      "seed {}, {} flows for each mode, {} at a time, kernel {}, {} processes of load, disturbance {}\n",
      options.seed, options.flows, options.parallel, kernel.release, options.load,
      options.disturb.empty() ? "off" : options.disturb);
  const Load load(options.load);
  Outcome all;
  bool missing = false;
  for (const std::string& mode : modes) {
    uint64_t first = options.first, left = options.flows;
    for (size_t i = 0; i < interceptions.size() && signals == 0; ++i) {
      const uint64_t share = left / (interceptions.size() - i);
      try {
        const std::string interception = interceptions[i] == "tproxy" ? "TPROXY" : "REDIRECT";
        const Outcome one = run_phase(options, mode, interception, first, share, missing);
        all.flows += one.flows;
        all.bytes += one.bytes;
        all.failed += one.failed;
        all.seconds += one.seconds;
      } catch (const std::exception& error) {
        fmt::print("WRONG {} {}: {}\n", mode, interceptions[i], error.what());
        ++all.failed;
      }
      first += share;
      left -= share;
    }
  }
  fmt::print("{}: {} flows, {:.2f} GB, {:.0f} s, {} wrong{}{}\n", all.failed == 0 ? "ok" : "WRONG", all.flows,
             static_cast<double>(all.bytes) / 1e9, all.seconds, all.failed,
             missing ? "; a mode was NOT RUN, see above" : "",
             signals > 0 ? "; ended early by a signal" : "");
  if (all.failed > 0) return kWrong;
  if (signals > 0) return 128 + SIGINT;
  return missing ? kCannot : 0;
}

Result<void> check(const Options& options) {
  if (!options.disturb.empty()) {
    if (const auto parsed = parse_disturbance(options.disturb); !parsed)
      return fail("--disturb {}", parsed.error().message);
  }
  if (const auto delay = parse_duration(options.delay); !delay)
    return fail("--delay: {}", delay.error().message);
  for (const std::string_view kind : split(options.kinds, ',', true))
    if (std::find(kinds().begin(), kinds().end(), kind) == kinds().end())
      return fail("--kinds '{}': expected some of {}", kind, fmt::join(kinds(), ","));
  if (options.threads == 0 || options.parallel < options.threads || options.parallel > 2000)
    return fail("--parallel {}: expected at least --threads ({}), at most 2000", options.parallel,
                options.threads);
  return {};
}

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Hostile streams through two sidecars, every byte checked. See tools/stress.d/README.md.",
               "sm-stress"};
  app.add_option("--seed", options.seed, "the same seed, the same flows")->capture_default_str();
  app.add_option("--flows", options.flows, "of each mode")->capture_default_str();
  app.add_option("--first", options.first, "number of the first flow")->capture_default_str();
  app.add_option("--mode", options.mode, "of the agents: auto, sockmap, io_uring, epoll, direct or all")
      ->check(CLI::IsMember({"auto", "sockmap", "io_uring", "epoll", "direct", "all"}))
      ->capture_default_str();
  app.add_option("--interception", options.interception, "redirect, tproxy, or both, half of the flows each")
      ->transform(CLI::IsMember({"redirect", "tproxy", "both"}, CLI::ignore_case))
      ->capture_default_str();
  app.add_option("--kinds", options.kinds, fmt::format("only flows of these: {}", fmt::join(kinds(), ",")));
  app.add_option("--parallel", options.parallel, "flows at a time")->capture_default_str();
  app.add_option("--threads", options.threads, "that drive them")->capture_default_str();
  app.add_option("--seconds", options.seconds,
                 "begin no more flows after so long, for each phase; 0: no bound")
      ->capture_default_str();
  app.add_option("--disturb", options.disturb, "of the agents, see userspace/base/disturb.h; '' for none")
      ->capture_default_str();
  app.add_flag("--calm", options.calm, "no lane switches, no changes of configuration meanwhile");
  app.add_flag("--favour", options.favour,
               "agents and applications come before the kernel's workers, so that backlogs wait");
  app.add_option("--load", options.load, "processes that want the processor all the time")
      ->capture_default_str();
  app.add_option("--loss", options.loss, "percent of packets lost between the pods")->capture_default_str();
  app.add_option("--delay", options.delay,
                 "of packets between the pods, with jitter; needs netem in the kernel")
      ->capture_default_str();
  app.add_option("--most-wrong", options.most_wrong, "ends a phase that has more wrong flows")
      ->capture_default_str();
  app.add_option("--report", options.report, "seconds between two lines of progress")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (const auto fine = check(options); !fine) {
    fmt::print(stderr, "sm-stress: {}\n", fine.error().message);
    return kMisused;
  }
  if (geteuid() != 0) {
    fmt::print(stderr, "sm-stress: needs root, for network namespaces\n");
    return kCannot;
  }
  return run_enclosed([&] { return run(options); });
}

}  // namespace
}  // namespace sockmesh::stress

int main(int argc, char** argv) { return sockmesh::stress::main(argc, argv); }

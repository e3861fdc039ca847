// sm-bench: the load generator of tools/bench/run.
//
//   sm-bench serve 10.9.0.1:9000
//   sm-bench load  10.9.0.1:9000 --kind exchange --size 64 --connections 32 --seconds 1
//   sm-bench idle  10.9.0.1:9000 --connections 10000
//   sm-bench burn
//
// `load` prints one line of JSON: operations (exchanges, connections, bytes), seconds, cpu_seconds of the
// whole machine, and p50_us, p99_us, p999_us, which are 0 where there is nothing to time.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <map>

#include "load.h"
#include "server.h"

using namespace sockmesh;

namespace {

const std::map<std::string, bench::Measured (*)(const bench::Load&)> kKinds{
    {"exchange", bench::measure_exchanges}, {"connect", bench::measure_connections},
    {"paced", bench::measure_paced},        {"upload", bench::measure_upload},
    {"download", bench::measure_download},
};

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  std::string address_text;
  std::string kind = "exchange";
  double seconds = 1;
  bench::Load load;
  CLI::App app{"Load generator: exchanges, connections, bulk transfers, idle connections", "sm-bench"};
  app.require_subcommand(1);
  CLI::App* server = app.add_subcommand("serve", "answer until killed");
  CLI::App* client = app.add_subcommand("load", "make load and print what came of it");
  CLI::App* idle = app.add_subcommand("idle", "open connections and hold them until standard input ends");
  CLI::App* burn = app.add_subcommand("burn", "keep a processor busy until killed");
  for (CLI::App* one : {server, client, idle})
    one->add_option("address", address_text, "IP:PORT")->required();
  for (CLI::App* one : {client, idle}) {
    one->add_option("--size", load.size, "bytes of a request and its answer; of a write for bulk");
    one->add_option("--connections", load.connections)->check(CLI::PositiveNumber);
  }
  client->add_option("--kind", kind)->check(CLI::IsMember(kKinds));
  client->add_option("--seconds", seconds)->check(CLI::PositiveNumber);
  client->add_option("--rate", load.rate, "of paced exchanges, a second")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (burn->parsed()) bench::burn();

  const auto address = SocketAddress::parse(address_text);
  if (!address) {
    std::fprintf(stderr, "sm-bench: %s\n", address.error().message.c_str());
    return 2;
  }
  if (kind == "paced" && load.rate == 0) {
    std::fprintf(stderr, "sm-bench: --kind paced: expected --rate with it\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  if (server->parsed()) bench::serve(*address);
  load.server = *address;
  if (idle->parsed()) {
    bench::hold_idle(load);
    return 0;
  }
  load.time = std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  const bench::Measured measured = kKinds.at(kind)(load);
  std::printf(
      R"({"operations": %.0f, "seconds": %.6f, "cpu_seconds": %.2f, "p50_us": %.1f, "p99_us": %.1f, "p999_us": %.1f})"
      "\n",
      measured.operations, measured.seconds, measured.cpu_seconds, measured.p50, measured.p99, measured.p999);
  return 0;
}

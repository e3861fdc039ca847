// sm-bench: the load generator of tools/bench/run.
//
//   sm-bench serve 10.9.0.1:9000
//   sm-bench load  10.9.0.1:9000 --kind exchange --size 64 --connections 32 --seconds 1
//
// `load` prints "PER_SECOND P50_US P99_US": exchanges a second, or bytes a second for bulk.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "load.h"
#include "server.h"

using namespace sockmesh;

int main(int argc, char** argv) {
  std::string address_text;
  std::string kind = "exchange";
  double seconds = 1;
  bench::Load load;
  CLI::App app{"Load generator: request/response exchanges and bulk transfers", "sm-bench"};
  app.require_subcommand(1);
  CLI::App* server = app.add_subcommand("serve", "answer until killed");
  server->add_option("address", address_text, "IP:PORT")->required();
  CLI::App* client = app.add_subcommand("load", "make load and print the rate");
  client->add_option("address", address_text, "IP:PORT")->required();
  client->add_option("--kind", kind)->check(CLI::IsMember({"exchange", "bulk"}));
  client->add_option("--size", load.size, "bytes of a request and its answer; of a write for bulk");
  client->add_option("--connections", load.connections);
  client->add_option("--seconds", seconds);
  CLI11_PARSE(app, argc, argv);

  const auto address = SocketAddress::parse(address_text);
  if (!address) {
    std::fprintf(stderr, "sm-bench: %s\n", address.error().message.c_str());
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  if (server->parsed()) bench::serve(*address);
  load.server = *address;
  load.time = std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  const bench::Measured measured =
      kind == "bulk" ? bench::measure_bulk(load) : bench::measure_exchanges(load);
  std::printf("%.0f %.1f %.1f\n", measured.per_second, measured.p50, measured.p99);
  return 0;
}

// Real servers through two sidecars: Redis and PostgreSQL, with their own counts against ours.
#include <pwd.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "two_sidecars.h"

namespace sockmesh::test {
namespace {

uint64_t redis_count(const std::string& socket, const std::string& name) {
  const std::string stats = must_run({"redis-cli", "-s", socket, "info", "stats"});
  const size_t at = stats.find(name + ":");
  const std::string_view rest = std::string_view(stats).substr(at + name.size() + 1);
  return parse_number<uint64_t>(rest.substr(0, rest.find('\r'))).value_or(0);
}

TEST_CASE("redis counts the bytes that the sidecars count") {
  TwoSidecars two;
  const TempDir dir;
  const std::string socket = dir.file("redis.sock");
  auto redis =
      Process::start({.argv = {"redis-server", "--port", "6379", "--bind", "*", "-::*", "--protected-mode",
                               "no", "--save", "", "--dir", dir.path(), "--unixsocket", socket},
                      .netns = &two.store_pod.netns});
  REQUIRE(redis);
  EVENTUALLY(std::filesystem::exists(socket));
  must_run({"redis-cli", "-s", socket, "config", "resetstat"});

  const Since at_client(two.client), at_store(two.store);
  const auto benchmark = run({.argv = {"redis-benchmark", "-h", "10.0.40.1", "-c", "10", "-n", "5000", "-P",
                                       "4", "-t", "set,get,lpush", "-d", "1000", "--csv"},
                              .netns = &two.client_pod.netns});
  INFO(benchmark.output);
  REQUIRE(benchmark.status == 0);
  EVENTUALLY(two.client.open_flows() == 0);
  EVENTUALLY(two.store.open_flows() == 0);
  EVENTUALLY(at_client.lines().size() == at_store.lines().size());
  // Less what asking costs: the INFO request (25 bytes) and RESETSTAT's "+OK" (5 bytes).
  const uint64_t in = redis_count(socket, "total_net_input_bytes") - 25;
  CHECK(at_client.received() == in);
  CHECK(at_store.received() == in);
  // The second INFO also counts the answer to the first, so only a lower bound is exact.
  CHECK(at_client.sent() == at_store.sent());
  CHECK(redis_count(socket, "total_net_output_bytes") >= at_client.sent() + 5);
}

// A fresh cluster of our own, run by the user the package made.
class Postgres {
 public:
  Postgres(const Netns& netns, const TempDir& dir) : data_(dir.make_folder("data")) {
    const passwd* user = getpwnam("postgres");
    REQUIRE(user);
    REQUIRE(chown(data_.c_str(), user->pw_uid, user->pw_gid) == 0);
    const std::string bin =
        trim_newline(must_run({"sh", "-c", "ls -d /usr/lib/postgresql/*/bin | tail -n 1"}));
    const auto initialised =
        run({.argv = {bin + "/initdb", "-D", data_, "-A", "trust", "--no-sync", "-U", "postgres"},
             .uid = user->pw_uid});
    INFO(initialised.output);
    REQUIRE(initialised.status == 0);
    must_run({"sh", "-c", "echo 'host all all all trust' >> " + data_ + "/pg_hba.conf"});
    auto server = Process::start({.argv = {bin + "/postgres", "-D", data_, "-c", "listen_addresses=*", "-c",
                                           "unix_socket_directories=" + data_, "-c", "fsync=off"},
                                  .netns = &netns,
                                  .uid = user->pw_uid});
    REQUIRE(server);
    server_ = std::move(*server);
    EVENTUALLY(server_.output().find("ready to accept connections") != std::string::npos);
  }

 private:
  static std::string trim_newline(const std::string& text) { return std::string(trim(text)); }
  std::string data_;
  Process server_;
};

TEST_CASE("PostgreSQL works through two sidecars: queries, bulk in, bulk out, a cancelled one") {
  TwoSidecars two;
  const TempDir dir;
  const Postgres postgres(two.store_pod.netns, dir);
  const auto psql = [&](const std::string& host, const std::string& commands) {
    return run({.argv = {"psql", "-h", host, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atc", commands},
                .netns = &two.client_pod.netns});
  };
  const Since at_client(two.client), at_store(two.store);
  for (const std::string host : {"10.0.40.1", "fd40::1"}) {
    INFO(host);
    const auto filled = psql(host, "create table t" + std::string(host == "fd40::1" ? "6" : "4") +
                                       " as select i, md5(i::text) as h from generate_series(1, 200000) i");
    INFO(filled.output);
    CHECK(filled.status == 0);
    const auto sum = psql(host, "select count(*), sum(i) from t4");
    CHECK(sum.output == "200000|20000100000\n");
    const auto copied = psql(host, "copy t4 to stdout");
    CHECK(split(copied.output, '\n', true).size() == 200000);
  }
  const auto cancelled = psql("10.0.40.1", "set statement_timeout = 100; select pg_sleep(100)");
  CHECK(cancelled.output.find("statement timeout") != std::string::npos);

  EVENTUALLY(two.client.open_flows() == 0);
  EVENTUALLY(at_client.lines().size() == 7);
  EVENTUALLY(at_store.lines().size() == 7);
  CHECK(at_client.received() == at_store.received());
  CHECK(at_client.sent() == at_store.sent());
  CHECK(at_client.sent() > 10'000'000);
}

}  // namespace
}  // namespace sockmesh::test

// The transaction: idempotent, repaired without an escape, undone when it fails, and nobody else's rules
// touched.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "init_support/machine.h"
#include "init_support/signposts.h"
#include "test_support/eventually.h"
#include "test_support/process.h"

namespace sockmesh::test {

namespace {

using iptables::Action;

const std::string kSidecar = "-b * -i * -d 15090,15021,15020 --dual-stack";

struct OnePod {
  PodNetwork pods;
  Pod& app = pods.add("app");
  const Netns& netns = app.netns;
};

}  // namespace

TEST_CASE("a second run changes nothing") {
  OnePod pod;
  add_foreign_rules(pod.netns, "nft");
  const std::string before = picture_of(pod.netns);
  REQUIRE(run_init(pod.netns, kSidecar).action == Action::kApplied);
  const std::string after = picture_of(pod.netns);
  CHECK(run_init(pod.netns, kSidecar).action == Action::kUnchanged);
  CHECK(changed_lines(after, picture_of(pod.netns)) == kNothing);
  // Istio's --force-apply fails on the chains that exist; and nothing has happened.
  CHECK(run_init(pod.netns, kSidecar + " --force-apply").exit_code == 1);
  CHECK(changed_lines(after, picture_of(pod.netns)) == kNothing);
  // Other flags are drift, and not written over what is there unless told so.
  CHECK(run_init(pod.netns, kSidecar + " -o 25").exit_code == 1);
  CHECK(changed_lines(after, picture_of(pod.netns)) == kNothing);
  CHECK(run_init(pod.netns, kSidecar + " -o 25 --reconcile").action == Action::kReconciled);
  CHECK(check_init(pod.netns, kSidecar + " -o 25").empty());
  CHECK(run_init(pod.netns, kSidecar + " --cleanup-only").action == Action::kCleaned);
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("a run with --skip-rule-apply or --dry-run leaves everything alone") {
  OnePod pod;
  const std::string before = picture_of(pod.netns);
  CHECK(run_init(pod.netns, kSidecar + " --skip-rule-apply").action == Action::kSkipped);
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("clean-up of what was never applied") {
  OnePod pod;
  const std::string before = picture_of(pod.netns);
  CHECK(run_init(pod.netns, kSidecar + " --cleanup-only").exit_code == 0);
  CHECK(run_init(pod.netns, kSidecar + " --native-nftables --cleanup-only").exit_code == 0);
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("what was there first stays: an address, a policy route, a rule that reads like ours") {
  OnePod pod;
  in_pod(pod.netns, "ip -6 addr add ::6/128 dev lo");
  pod.netns.ip("rule add fwmark 1337 lookup 133");
  in_pod(pod.netns, "iptables-nft -t nat -A PREROUTING -i eth1 -j RETURN");
  in_pod(pod.netns, "iptables-nft -t nat -A PREROUTING -p tcp --dport 81 -j ACCEPT");
  const std::string before = picture_of(pod.netns);
  const std::string flags = "-m TPROXY -c eth1 " + kSidecar;
  const auto result = run_init(pod.netns, flags);
  INFO(result.log);
  REQUIRE(result.exit_code == 0);
  CHECK(run_init(pod.netns, flags).action == Action::kUnchanged);
  CHECK(check_init(pod.netns, flags).empty());
  REQUIRE(run_init(pod.netns, flags + " --cleanup-only").exit_code == 0);
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("drift is found and named") {
  OnePod pod;
  add_foreign_rules(pod.netns, "nft");
  REQUIRE(run_init(pod.netns, kSidecar).exit_code == 0);
  struct Damage {
    const char* command;
    const char* finding;
  };
  const Damage damages[] = {
      {"iptables-nft -t nat -D ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
       "IPv4 nat ISTIO_OUTPUT: missing rule: -d 127.0.0.1/32 -j RETURN"},
      {"iptables-nft -t nat -I ISTIO_OUTPUT 1 -p tcp --dport 80 -j RETURN",
       "IPv4 nat ISTIO_OUTPUT: rule is not wanted: -p tcp -m tcp --dport 80 -j RETURN"},
      {"ip6tables-nft -t nat -D OUTPUT -j ISTIO_OUTPUT", "IPv6 nat OUTPUT: missing rule: -j ISTIO_OUTPUT"},
      {"ip6tables-nft -t nat -A OUTPUT -j ISTIO_OUTPUT",
       "IPv6 nat OUTPUT: rule is not wanted: -j ISTIO_OUTPUT"},
      {"iptables-nft -t nat -I OUTPUT 1 -p tcp --dport 80 -j ACCEPT",
       "IPv4 nat OUTPUT: somebody else's rule was put ahead of ours: -p tcp -m tcp --dport 80 -j ACCEPT"},
      {"iptables-nft -t mangle -N ISTIO_OLD", "IPv4 mangle ISTIO_OLD: chain is not wanted"},
      {"ip -6 addr del ::6/128 dev lo", "missing: ip -6 addr add ::6/128 dev lo"},
  };
  for (const Damage& damage : damages) {
    INFO(damage.command);
    in_pod(pod.netns, damage.command);
    CHECK(check_init(pod.netns, kSidecar) == std::vector<std::string>{damage.finding});
    CHECK(run_init(pod.netns, kSidecar + " --reconcile").exit_code == 0);
    CHECK(check_init(pod.netns, kSidecar).empty());
  }
  // Order, which istio-init does not look at.
  in_pod(pod.netns, "iptables-nft -t nat -D ISTIO_OUTPUT 1");
  in_pod(pod.netns, "iptables-nft -t nat -I ISTIO_OUTPUT 2 -o lo -s 127.0.0.6/32 -j RETURN");
  REQUIRE(check_init(pod.netns, kSidecar).size() == 1);
  CHECK(check_init(pod.netns, kSidecar)[0].starts_with("IPv4 nat ISTIO_OUTPUT: rule is out of order"));
}

TEST_CASE("an earlier rule of somebody else is not drift") {
  OnePod pod;
  in_pod(pod.netns, "iptables-nft -t nat -A OUTPUT -p tcp --dport 80 -j ACCEPT");
  REQUIRE(run_init(pod.netns, kSidecar).exit_code == 0);
  CHECK(check_init(pod.netns, kSidecar).empty());
  CHECK(run_init(pod.netns, kSidecar).action == Action::kUnchanged);
}

TEST_CASE("a failed probe brings back what was there") {
  for (const char* backend :
       {" --force-iptables-binary nft", " --force-iptables-binary legacy", " --native-nftables"}) {
    OnePod pod;
    add_foreign_rules(pod.netns, "nft");
    add_foreign_rules(pod.netns, "legacy");
    // The capture is right and yet nothing can arrive.
    in_pod(pod.netns,
           "ip6tables-nft -t filter -A INPUT -p tcp --dport 15006 -j REJECT --reject-with tcp-reset");
    const std::string before = picture_of(pod.netns);
    for (const char* mode : {"", " -m TPROXY"}) {
      INFO(backend << mode);
      const auto result = run_init(pod.netns, kSidecar + backend + mode);
      INFO(result.log);
      CHECK(result.exit_code == 1);
      CHECK(result.log.find("IPv6 capture probe to [::6]:15002: not captured") != std::string::npos);
      CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
      CHECK(run_init(pod.netns, kSidecar + backend + mode + " --run-validation").exit_code == 126);
      CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
    }
  }
}

TEST_CASE("a failed repair brings back the drifted rules") {
  OnePod pod;
  add_foreign_rules(pod.netns, "nft");
  REQUIRE(run_init(pod.netns, kSidecar).exit_code == 0);
  in_pod(pod.netns, "iptables-nft -t nat -I ISTIO_OUTPUT 1 -p tcp --dport 80 -j RETURN");
  in_pod(pod.netns, "iptables-nft -t filter -A INPUT -p tcp --dport 15006 -j REJECT --reject-with tcp-reset");
  const std::string before = rules_and_routes(pod.netns);
  const auto result = run_init(pod.netns, kSidecar + " -m TPROXY --reconcile");
  INFO(result.log);
  CHECK(result.exit_code == 1);
  CHECK(changed_lines(before, rules_and_routes(pod.netns)) == kNothing);
}

TEST_CASE("routes that cannot be made bring back what was there") {
  OnePod pod;
  const std::string before = picture_of(pod.netns);
  pod.netns.ip("link set lo down");
  const auto result = run_init(pod.netns, "-m TPROXY " + kSidecar);
  INFO(result.log);
  CHECK(result.exit_code == 1);
  pod.netns.ip("link set lo up");
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("what --run-validation finds") {
  OnePod pod;
  // Nothing is there to validate.
  CHECK(
      run_init(pod.netns, kSidecar + " --skip-rule-apply --run-validation --probe-timeout 100ms").exit_code ==
      126);
  REQUIRE(run_init(pod.netns, kSidecar + " --run-validation").exit_code == 0);
  const auto validated = run_init(pod.netns, kSidecar + " --skip-rule-apply --run-validation");
  INFO(validated.log);
  CHECK(validated.exit_code == 0);
}

TEST_CASE("validation waits for a CNI plugin that is still at work") {
  OnePod pod;
  std::atomic<int> exit_code = -1;
  std::thread validation(
      [&] { exit_code = run_init(pod.netns, kSidecar + " --skip-rule-apply --run-validation").exit_code; });
  // Its listener shows that the first try is on its way.
  const bool listening = eventually([&] {
    return must_run({"ss", "-Hltn", "sport", "=", ":15006"}, &pod.netns).find("15006") != std::string::npos;
  });
  const auto applied = run_init(pod.netns, kSidecar);
  validation.join();
  INFO(applied.log);
  CHECK(listening);
  CHECK(applied.exit_code == 0);
  CHECK(exit_code == 0);
}

TEST_CASE("no connection escapes while rules are repaired") {
  PodNetwork pods;
  Pod& app = pods.add("app");
  Pod& peer = pods.add("peer");
  Signposts agent{app.netns, 1337, 1337}, application{app.netns}, server{peer.netns};
  agent.tcp("outbound", 15001).tcp("inbound", 15006).start();
  application.tcp("application", 8080).start();
  server.tcp("server", 8080).start();
  const std::string out = "-i * --dual-stack", both = out + " -b *";
  REQUIRE(run_init(app.netns, both).exit_code == 0);

  std::atomic<bool> stop = false;
  std::atomic<int> asked = 0;
  std::vector<std::thread> askers;
  for (const bool inbound : {false, true}) {
    askers.emplace_back([&, inbound] {
      while (!stop) {
        (void)(inbound ? ask(peer.netns, {.to = app.at(8080)}) : ask(app.netns, {.to = peer.at(8080)}));
        ++asked;
      }
    });
  }
  for (int round = 0; round < 6; ++round) {
    const int before = asked;
    in_pod(app.netns, "iptables-nft -t nat -A ISTIO_INBOUND -p tcp --dport 1 -j RETURN");
    CHECK(run_init(app.netns, both + " --reconcile").action == Action::kReconciled);
    // Here several tables change, so the guard stands for a moment.
    CHECK(run_init(app.netns, both + " --drop-invalid -o 25 --reconcile").action == Action::kReconciled);
    CHECK(run_init(app.netns, both + " --reconcile").action == Action::kReconciled);
    EVENTUALLY(asked > before + 2);
  }
  stop = true;
  for (std::thread& asker : askers) asker.join();
  CHECK(server.answered() == 0);
  CHECK(application.answered() == 0);
  CHECK(agent.answered() > 10);
  const std::string filter = must_run({"iptables-nft", "-t", "filter", "-S"}, &app.netns);
  CHECK(filter.find("guard") == std::string::npos);
}

TEST_CASE("a guard that a killed run left behind is lifted") {
  OnePod pod;
  add_foreign_rules(pod.netns, "nft");
  const std::string before = picture_of(pod.netns);
  REQUIRE(run_init(pod.netns, kSidecar).exit_code == 0);
  in_pod(pod.netns, "iptables-nft -t filter -I INPUT 1 -p tcp -m comment --comment sockmesh-guard -j DROP");
  CHECK(!check_init(pod.netns, kSidecar).empty());
  CHECK(run_init(pod.netns, kSidecar + " --reconcile").exit_code == 0);
  CHECK(check_init(pod.netns, kSidecar).empty());
  REQUIRE(run_init(pod.netns, kSidecar + " --cleanup-only").exit_code == 0);
  CHECK(changed_lines(before, picture_of(pod.netns)) == kNothing);
}

TEST_CASE("the back end that holds rules is used") {
  OnePod pod;
  in_pod(pod.netns, "iptables-legacy -t nat -A OUTPUT -p tcp --dport 1 -j ACCEPT");
  const auto first = run_init(pod.netns, kSidecar);
  INFO(first.log);
  CHECK(first.log.find("using iptables-legacy, ip6tables-nft") != std::string::npos);
  CHECK(run_init(pod.netns, kSidecar).action == Action::kUnchanged);
}

TEST_CASE("a second run stays with the back end of the first") {
  OnePod pod;
  REQUIRE(run_init(pod.netns, kSidecar).log.find("using iptables-nft") != std::string::npos);
  // By looking at it, somebody registers the legacy table, which then prints like one with rules.
  in_pod(pod.netns, "iptables-legacy -t nat -L -n");
  CHECK(run_init(pod.netns, kSidecar).action == Action::kUnchanged);
}

}  // namespace sockmesh::test

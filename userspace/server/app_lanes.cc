#include "server/app_lanes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "bpf/direct_pins.h"
#include "bpf/direct_self_test.h"
#include "net/cgroup.h"
#include "net/mark_probe.h"

namespace sockmesh::server {

namespace {

// What of an IP family the rules capture and let pass.
struct Families {
  bool ipv4 = false, ipv6 = false;
};

Result<std::string> find_pod_cgroup(const Options& options, const std::string& own) {
  if (!options.pod_cgroup.empty()) return options.pod_cgroup;
  if (auto found = net::pod_cgroup_of(own)) return *found;
  return fail("the agent's cgroup {} is in no pod's that it can see: --pod-cgroup PATH names one", own);
}

Result<Families> probe_rules(const PacketMark& mark) {
  Families families;
  SOCKMESH_TRY(ipv4, net::probe_mark(mark.value, false));
  families.ipv4 = ipv4.captured && ipv4.mark_passes;
  if (const auto ipv6 = net::probe_mark(mark.value, true))
    families.ipv6 = ipv6->captured && ipv6->mark_passes;
  if (families.ipv4 || families.ipv6) return families;
  if (!ipv4.captured) return fail("the pod's rules redirect no connection");
  return fail(
      "the pod's rules redirect connections with the mark {:#x} too: sockmesh-init --direct-mark {:#x}",
      mark.value, mark.value);
}

bpf::DirectMaps::Options map_options(const Options& options) {
  bpf::DirectMaps::Options maps;
  maps.folder = options.direct_pins;
  maps.mark = options.direct_mark.value;
  maps.mark_mask = options.direct_mark.mask;
  // As the rules know the proxy. Under TPROXY its uid is root's, and so may be the application's.
  maps.proxy_uid = options.uid == 0 ? std::nullopt : std::optional<uint32_t>(options.uid);
  maps.proxy_gid = options.gid;
  return maps;
}

Result<void> prepare(const Options& options, AppLanes& lanes) {
  if (options.app_lanes == AppLaneChoice::kOff) return fail("not asked for (--app-lanes off)");
  if (options.identity.role == config::Role::kGateway) return fail("a gateway has no application");
  if (options.interception == Interception::kNone)
    return fail("nothing is captured (--interception-mode NONE)");
  SOCKMESH_TRY(own, net::own_cgroup());
  SOCKMESH_TRY(cgroup, find_pod_cgroup(options, own));
  SOCKMESH_TRY(families, probe_rules(options.direct_mark));
  const bpf::SelfTestReport report = bpf::run_direct_self_test(own);
  if (!report.passed()) return fail("failed its self-test: {}", report.failures());
  auto maps = bpf::DirectMaps::open(map_options(options));
  if (!maps && !options.direct_pins.empty()) {
    spdlog::warn("lane direct: {}; what is pinned there is removed", maps.error().message);
    SOCKMESH_CHECK(bpf::remove_direct_pins(options.direct_pins));
    maps = bpf::DirectMaps::open(map_options(options));
  }
  if (!maps) return fail(std::move(maps).error());
  SOCKMESH_CHECK((*maps)->attach(cgroup));
  lanes.checks = report.verdicts.size();
  lanes.terms = direct_terms(options, families.ipv4, families.ipv6);
  lanes.direct = std::move(*maps);
  return {};
}

// What an agent before this one has pinned would go on leading connections by its last decisions, which
// nobody keeps any more. Of another layout too: after an upgrade its flows are not for us to follow.
Result<void> remove_pins(const Options& options) {
  if (options.direct_pins.empty()) return {};
  return bpf::remove_direct_pins(options.direct_pins);
}

}  // namespace

std::string AppLanes::verdict() const {
  if (!direct) return unavailable;
  return fmt::format("passed: {} of {} checks", checks, checks);
}

AppLanes prepare_app_lanes(const Options& options) {
  AppLanes lanes;
  auto prepared = prepare(options, lanes);
  if (prepared) return lanes;
  lanes.unavailable = prepared.error().message;
  if (const auto removed = remove_pins(options); !removed)
    spdlog::error("lane direct: an earlier agent's decisions stay in force: {}", removed.error().message);
  return lanes;
}

model::DirectTerms direct_terms(const Options& options, bool ipv4, bool ipv6) {
  model::DirectTerms terms = options.captured;
  if (!ipv4) terms.excluded_ranges.push_back(Prefix::parse("0.0.0.0/0").value());
  if (!ipv6) terms.excluded_ranges.push_back(Prefix::parse("::/0").value());
  return terms;
}

}  // namespace sockmesh::server

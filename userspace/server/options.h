// Options of sockmesh-agent: from flags, then from the environment that istio-proxy is injected with, then
// defaults. Read once at start-up; plain values afterwards.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/disturb.h"
#include "base/packet_mark.h"
#include "base/result.h"
#include "config/resources/proxy.h"
#include "datapath/data_path.h"
#include "model/direct.h"

namespace sockmesh::server {

enum class Interception : uint8_t { kRedirect, kTproxy, kNone };
const char* to_string(Interception mode);  // "REDIRECT", "TPROXY", "NONE"

// The lanes of applications' own sockets (docs/direct.md).
enum class AppLaneChoice : uint8_t { kOff, kDirect, kAll };
const char* to_string(AppLaneChoice choice);  // "off", "direct", "all"

struct Options {
  config::ProxyIdentity identity;
  std::string ips_from;  // what said the first of identity.ips: "--ip", "INSTANCE_IPS" or "INSTANCE_IP"
  std::map<IpAddress, std::string> interface_of;  // of those that were found on the pod's interfaces
  std::string config_folder;
  datapath::Mode data_path = datapath::Mode::kAuto;
  AppLaneChoice app_lanes = AppLaneChoice::kDirect;
  std::string
      pod_cgroup;  // cgroup v2 folder of the applications; "": the parent of the agent's own, if a pod's
  PacketMark direct_mark = kDirectMark;  // what the rules let pass: sockmesh-init --direct-mark
  std::string direct_pins;               // folder of bpffs; "": lane 3 ends with the agent
  model::DirectTerms captured;           // what the pod's rules leave alone, as sockmesh-init was told
  std::string run_dir = "/run/sockmesh";
  unsigned workers = 2;
  Interception interception = Interception::kRedirect;
  uid_t uid = 1337;
  gid_t gid = 1337;
  std::string log_level = "info";
  size_t max_connections = 0;  // 0: half of the descriptors the process may have

  // How the end goes (docs/istio.md#the-injected-pod): after SIGTERM serve on for drain_duration, or, when
  // asked, until nobody is connected, but at least minimum_drain; then reset what is left.
  std::chrono::nanoseconds drain_duration = std::chrono::seconds(5);
  std::chrono::nanoseconds minimum_drain = std::chrono::seconds(5);
  bool exit_on_zero_connections = false;
  // Asked to drain gracefully: how long new connections are still taken.
  std::chrono::nanoseconds drain_time = std::chrono::seconds(45);
  std::string app_annotations;  // ISTIO_PROMETHEUS_ANNOTATIONS, as it came
  std::string app_probers;      // ISTIO_KUBE_APP_PROBERS, as it came
  bool probe_localhost =
      false;  // REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: probes go there, not to the pod's IP

  std::string resolv_conf;  // "" for /etc/resolv.conf
  std::string dns_servers;  // instead of those in resolv.conf

  std::optional<Disturbance> disturbance;  // for tools/stress alone, and so not in --help
};

// The environment as a function, so that tests bring their own.
using Environment = std::function<const char*(const char* name)>;

struct Parsed {
  std::optional<Options> options;  // none: print `text` and leave with `exit_code` (--help, a mistake)
  std::string text;
  int exit_code = 0;
};

// Every flag of what --help prints. An error names the flag or variable, quotes the value and says what was
// expected. `cores` is how many processors there are: it bounds the default number of workers.
Parsed parse_options(const std::vector<std::string>& arguments, const Environment& environment,
                     unsigned cores);

}  // namespace sockmesh::server

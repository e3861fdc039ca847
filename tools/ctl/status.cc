// sockmeshctl status: is it well, which configuration does it follow, which lanes may it use and why.
#include "ctl/status.h"

#include <algorithm>

#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

std::string lanes_table(const Json& lanes) {
  Table table({"LANE", "STATE", "OPEN", "TOTAL", "SELF-TEST"});
  for (const Json& lane : lanes) {
    const bool available = lane.value("available", false), enabled = lane.value("enabled", false);
    table.row({cell(lane, "lane"),
               !available ? "unavailable"
               : enabled  ? "in use"
                          : "off",
               cell(lane, "flowsActive"), cell(lane, "flowsTotal"), cell(lane, "verdict")});
  }
  return table.text();
}

namespace {

struct StatusOptions {
  std::string output = "text";
};

std::string list_text(const Json& list) {
  std::string text;
  for (const Json& item : list) text += (text.empty() ? "" : ", ") + item.get<std::string>();
  return text;
}

std::string agent_text(const Json& status) {
  const std::string why = cell(status, "readyText");
  std::string state = status.value("draining", false) ? "draining"
                      : status.value("ready", false)  ? "ready"
                                                      : "not ready";
  if (state == "not ready" && !why.empty()) state += ": " + why;
  return fmt::format("sockmesh-agent {}, pid {}, up {}, {}\n", cell(status, "version"), cell(status, "pid"),
                     age_text(status.value("uptimeSeconds", 0.0)), state);
}

std::string identity_text(const Json& identity) {
  std::string text = cell(identity, "role");
  if (const std::string pod = cell(identity, "pod"); !pod.empty())
    text += fmt::format(" of {}.{}", pod, cell(identity, "namespace"));
  if (const std::string node = cell(identity, "node"); !node.empty()) text += " on " + node;
  for (const Json& address : identity.value("addresses", Json::array())) {
    text += ", " + cell(address, "ip");
    if (const std::string from = cell(address, "from"); !from.empty()) text += " (" + from + ")";
  }
  if (const std::string mode = cell(identity, "interception"); !mode.empty())
    text += ", interception " + mode;
  return text + "\n";
}

std::string config_text(const Json& config) {
  const std::string version = cell(config, "version"), error = cell(config, "lastError");
  std::string text = version.empty()
                         ? fmt::format("configuration: none yet from {} {}\n", cell(config, "source"),
                                       cell(config, "location"))
                         : fmt::format("configuration {} (number {}) of {}, from {} {}\n", version,
                                       cell(config, "generation"), cell(config, "loaded"),
                                       cell(config, "source"), cell(config, "location"));
  if (error.empty()) return text;
  const auto problems = std::max<uint64_t>(config.value("problems", uint64_t{1}), 1);
  const bool refused = config.value("refused", version.empty());
  if (version.empty())
    text += fmt::format("  not admitted, connections are held: {}\n", error);
  else if (refused)
    text += fmt::format("  the last load was refused, what was in force stays: {}\n", error);
  else
    text += fmt::format(
        "  {} problem{} in what was loaded; broken objects keep their last good version, if there is "
        "one. The first: {}\n",
        problems, problems == 1 ? "" : "s", error);
  if (refused && problems > 1) text += fmt::format("  {} problems in all\n", problems);
  return text;
}

std::string counts_text(const Json& counts) {
  return fmt::format("{} connections open, {} since start; {} listeners, {} clusters, {} endpoints\n",
                     cell(counts, "connectionsActive"), cell(counts, "connectionsTotal"),
                     cell(counts, "listeners"), cell(counts, "clusters"), cell(counts, "endpoints"));
}

std::string unbound_text(const Json& ports) {
  std::string text;
  for (const Json& port : ports)
    text += fmt::format("not listening on {} (listener {}), tried again: {}\n", cell(port, "address"),
                        cell(port, "listener"), cell(port, "error"));
  return text;
}

// Names of DNS clusters whose last lookup brought no addresses.
std::string names_text(const Json& names) {
  std::string text;
  for (const Json& name : names) {
    const Json& age = name["answerAgeSeconds"];
    const std::string addresses = list_text(name["addresses"]);
    text += fmt::format(
        "name {} {}: {}; {}{}\n", cell(name, "name"), cell(name, "state"), cell(name, "error"),
        addresses.empty() ? "no address" : "in use " + addresses,
        age.is_number() ? ", last answered " + age_text(age.get<double>()) + " ago" : ", never answered");
  }
  return text;
}

std::string workers_table(const Json& workers) {
  Table table({"WORKER", "LOOP", "OPEN", "TOTAL"});
  for (const Json& worker : workers)
    table.row({cell(worker, "index"), cell(worker, "backend"), cell(worker, "connectionsActive"),
               cell(worker, "connectionsTotal")});
  return table.text();
}

// As `analyze` writes them: "Warning [IST0150] (Service app-ext.app app.yaml:9) ...".
std::string findings_text(const Json& findings) {
  std::string text;
  for (const Json& finding : findings) {
    const Json& object = finding["object"];
    std::string where;
    if (object.is_object()) {
      where = cell(object, "kind") + " " + cell(object, "name");
      if (const std::string ns = cell(object, "namespace"); !ns.empty()) where += "." + ns;
      if (const std::string file = cell(object, "file"); !file.empty())
        where += fmt::format(" {}:{}", file, cell_or_dash(object, "line"));
    }
    text += fmt::format("{} [{}] ({}) {}\n", cell(finding, "severity"), cell(finding, "code"), where,
                        cell(finding, "text"));
  }
  return text.empty() ? "" : "\n" + text;
}

// "direct: 12 destinations, ... ; connects: rewritten 5, intercepted 1", without the zeros.
std::string direct_text(const Json& direct) {
  if (!direct.is_object()) return "";
  std::string connects;
  for (const Json& one : direct["connects"])
    if (one["count"] != 0)
      connects += fmt::format("{}{} {}", connects.empty() ? "" : ", ", cell(one, "what"), cell(one, "count"));
  return fmt::format(
      "direct: {} destinations, {} prefixes, {} routes, {} clusters, {} hosts in the kernel, at most {} MB; "
      "connects: {}\n",
      cell(direct, "destinations"), cell(direct, "prefixes"), cell(direct, "routes"),
      cell(direct, "clusters"), cell(direct, "hosts"),
      direct.value("mapBytesAtMost", uint64_t{0}) / 1'000'000, connects.empty() ? "none" : connects);
}

std::string status_text(const Json& status) {
  const Json& path = status["dataPath"];
  return agent_text(status) + identity_text(status["identity"]) + config_text(status["config"]) +
         counts_text(status["counts"]) + unbound_text(status.value("unbound", Json::array())) +
         names_text(status.value("names", Json::array())) +
         fmt::format("data path {}, kernel lanes switched {}\n\n", cell(path, "mode"),
                     path.value("spliceEnabled", false) ? "on" : "off") +
         lanes_table(status["lanes"]) + direct_text(status.value("direct", Json())) + "\n" +
         workers_table(status["workers"]) + findings_text(status["findings"]);
}

Result<int> run_status(Context& context, const StatusOptions& options) {
  SOCKMESH_TRY(status, get(context, "/v1/status"));
  context.world.out << (options.output == "json" ? json_text(status) : status_text(status));
  return kOk;
}

}  // namespace

void declare_status(CLI::App& app, Context& context) {
  auto options = std::make_shared<StatusOptions>();
  add_output(app, options->output, {"text", "json"});
  runs(app, context, options, run_status);
}

}  // namespace sockmesh::ctl

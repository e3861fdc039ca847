// sockmeshctl flows: one row a connection with both its legs, the decision, the lane and the bytes.
#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct FlowsOptions {
  std::string output = "short", direction, cluster, lane;
  bool half_closed = false;
  std::optional<double> watch;  // seconds between two tables
};

std::string state_text(const Json& flow) {
  const bool downstream = flow.value("downstreamClosed", false),
             upstream = flow.value("upstreamClosed", false);
  if (downstream && upstream) return "closing";
  if (downstream) return "half-closed by client";
  if (upstream) return "half-closed by upstream";
  return cell(flow, "state");
}

bool wanted(const Json& flow, const FlowsOptions& options) {
  if (!options.direction.empty() && cell(flow, "direction") != options.direction) return false;
  if (!options.cluster.empty() && cell(flow, "cluster").find(options.cluster) == std::string::npos)
    return false;
  if (!options.lane.empty() && cell(flow, "lane") != options.lane) return false;
  if (options.half_closed && flow.value("downstreamClosed", false) == flow.value("upstreamClosed", false))
    return false;
  return true;
}

std::string flows_table(const Json& view, bool wide) {
  std::vector<std::string> header = {"ID",       "DIRECTION", "DOWNSTREAM", "DESTINATION",
                                     "UPSTREAM", "CLUSTER",   "RECEIVED",   "SENT",
                                     "AGE",      "STATE",     "LANE"};
  if (wide)
    header.insert(header.end(), {"SPLICED", "RTT MS", "RETRANSMITS", "UPSTREAM LOCAL", "LISTENER", "CHAIN",
                                 "SNI", "FLAGS"});
  header.push_back("WHY THIS LANE");
  Table table(std::move(header));
  for (const Json& flow : view["flows"]) {
    std::vector<std::string> row = {
        cell(flow, "id"),
        cell(flow, "direction"),
        cell(flow, "downstream"),
        cell(flow, "originalDestination"),
        cell_or_dash(flow, "upstream"),
        cell_or_dash(flow, "cluster"),
        cell(flow, "bytesReceived"),
        cell(flow, "bytesSent"),
        age_text(flow.value("ageSeconds", 0.0)),
        state_text(flow),
        cell_or_dash(flow, "lane"),
    };
    if (wide) {
      row.push_back(cell(flow, "splicedReceived") + "/" + cell(flow, "splicedSent"));
      for (const char* key : {"roundTripMs", "retransmits", "upstreamLocal", "listener", "filterChain",
                              "serverName", "responseFlags"})
        row.push_back(cell_or_dash(flow, key));
    }
    row.push_back(cell_or_dash(flow, "laneReason"));
    table.row(std::move(row));
  }
  return table.text();
}

Result<int> print_once(Context& context, const FlowsOptions& options) {
  SOCKMESH_TRY(view, get(context, "/v1/flows"));
  Json kept = Json::array();
  for (Json& flow : view["flows"])
    if (wanted(flow, options)) kept.push_back(std::move(flow));
  const size_t listed = view["flows"].size();
  const uint64_t total = view.value("total", uint64_t{0});
  view["flows"] = std::move(kept);

  std::ostream& out = context.world.out;
  if (options.output == "json") {
    out << json_text(view);
  } else {
    out << flows_table(view, options.output == "wide");
    if (total > listed) out << fmt::format("{} of {} connections are listed\n", listed, total);
  }
  out.flush();
  return kOk;
}

Result<int> run_flows(Context& context, const FlowsOptions& options) {
  if (!options.watch) return print_once(context, options);
  while (true) {
    context.world.out << "\x1b[H\x1b[2J";  // home, clear: each table in the place of the one before
    SOCKMESH_TRY(status, print_once(context, options));
    if (!context.world.pause(
            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*options.watch))))
      return status;
  }
}

}  // namespace

void declare_flows(CLI::App& app, Context& context) {
  auto options = std::make_shared<FlowsOptions>();
  add_output(app, options->output, {"short", "wide", "json"});
  app.add_option("--direction", options->direction, "only these: inbound or outbound")
      ->check(CLI::IsMember({"inbound", "outbound"}));
  app.add_option("--cluster", options->cluster, "only those whose cluster contains this text");
  app.add_option("--lane", options->lane,
                 "only those of this lane (epoll, io_uring, sk_skb, sk_msg, direct)");
  app.add_flag("--half-closed", options->half_closed, "only those that one side has closed");
  app.add_option("--watch", options->watch, "again every SECONDS, until interrupted")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("SECONDS");
  runs(app, context, options, run_flows);
}

}  // namespace sockmesh::ctl

// sockmeshctl listeners: who takes a connection, where it sends it, and which object made it so.
#include "admin/views.h"
#include "base/strings.h"
#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct ListenersOptions {
  Subject subject;
  std::string output = "short", direction, address;
  std::optional<uint16_t> port;
};

bool has_port(const std::string& address, uint16_t port) {
  return address.ends_with(fmt::format(":{}", port));
}

bool has_ip(const std::string& address, const std::string& ip) {
  const std::string host = address.substr(0, address.rfind(':'));
  return host == ip || host == "[" + ip + "]";
}

bool wanted(const Json& listener, const ListenersOptions& options) {
  if (!options.direction.empty() && cell(listener, "direction") != options.direction) return false;
  const auto any_address = [&](const auto& test) {
    const Json& addresses = listener["addresses"];
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const Json& address) { return test(address.get<std::string>()); });
  };
  if (options.port && !any_address([&](const std::string& a) { return has_port(a, *options.port); }))
    return false;
  if (!options.address.empty() &&
      !any_address([&](const std::string& a) { return has_ip(a, options.address); }))
    return false;
  return true;
}

std::string list_text(const Json& list) {
  std::string text;
  for (const Json& item : list) text += (text.empty() ? "" : ",") + item.get<std::string>();
  return text;
}

std::string match_text(const Json& chain) {
  if (chain.value("default", false)) return "anything else";
  const Json& match = chain["match"];
  std::vector<std::string> parts;
  if (!match["serverNames"].empty()) parts.push_back("SNI " + list_text(match["serverNames"]));
  if (const std::string transport = cell(match, "transport"); !transport.empty())
    parts.push_back(transport == "tls" ? "TLS" : "not TLS");
  if (!match["applicationProtocols"].empty())
    parts.push_back("ALPN " + list_text(match["applicationProtocols"]));
  if (!match["prefixRanges"].empty()) parts.push_back("to " + list_text(match["prefixRanges"]));
  if (const std::string port = cell(match, "destinationPort"); !port.empty())
    parts.push_back("to port " + port);
  return parts.empty() ? "all" : join(parts, ", ");
}

// "outbound|9000|v1|echo… 80%, outbound|9000|v2|echo… 20%"
std::string destination_text(const Json& route) {
  const Json& clusters = route["clusters"];
  std::string text;
  for (const Json& part : clusters) {
    if (!text.empty()) text += ", ";
    text += cell(part, "cluster");
    if (clusters.size() > 1) text += fmt::format(" {:.4g}%", part.value("share", 0.0) * 100);
  }
  return text;
}

std::string listeners_table(const Json& view) {
  Table table({"LISTENER", "DIRECTION", "ADDRESSES", "MATCH", "DESTINATION", "BECAUSE OF"});
  for (const Json& listener : view["listeners"]) {
    const std::string error = cell(listener, "bindError");
    std::string bound = listener.value("bound", false) ? " (bound)" : "";
    if (!error.empty()) bound = fmt::format(" (not bound: {})", error);
    for (const Json& chain : listener["chains"]) {
      table.row({cell(listener, "name"), cell(listener, "direction"),
                 list_text(listener["addresses"]) + bound, match_text(chain),
                 destination_text(chain["route"]), object_text(chain["route"]["object"])});
    }
    for (const Json& loser : listener["losers"])
      table.row({cell(listener, "name"), "", "", "lost: " + cell(loser, "what"), cell(loser, "reason"),
                 object_text(loser["object"])});
  }
  return table.text();
}

Result<int> run_listeners(Context& context, const ListenersOptions& options) {
  SOCKMESH_TRY(view, view_of(context, options.subject, "/v1/listeners", [](const model::Snapshot& snapshot) {
                 return admin::listeners_view(snapshot, {});
               }));
  Json kept = Json::array();
  for (Json& listener : view["listeners"])
    if (wanted(listener, options)) kept.push_back(std::move(listener));
  view["listeners"] = std::move(kept);
  context.world.out << (options.output == "json" ? json_text(view) : listeners_table(view));
  return kOk;
}

}  // namespace

void declare_listeners(CLI::App& app, Context& context) {
  auto options = std::make_shared<ListenersOptions>();
  add_output(app, options->output, {"short", "json"});
  add_subject(app, options->subject);
  app.add_option("--direction", options->direction, "only these: inbound or outbound")
      ->check(CLI::IsMember({"inbound", "outbound"}));
  app.add_option("--port", options->port, "only those of this port");
  app.add_option("--address", options->address, "only those with this IP address");
  runs(app, context, options, run_listeners);
}

}  // namespace sockmesh::ctl

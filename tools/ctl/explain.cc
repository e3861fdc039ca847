// sockmeshctl explain: the decision about one connection told as a story, with the object behind each step,
// who lost and why, and what to change when it looks like an accident.
#include "model/explain.h"

#include "admin/question.h"
#include "admin/views.h"
#include "base/strings.h"
#include "ctl/commands.h"
#include "ctl/endpoints.h"
#include "ctl/subject.h"
#include "ctl/table.h"

namespace sockmesh::ctl {

namespace {

struct ExplainOptions {
  Subject subject;
  admin::Question question;
  std::string output = "text", what;
  bool inbound = false, plain = false, tls = false;
};

bool is_flow_id(const std::string& what) {
  return !what.empty() && what.find_first_not_of("0123456789") == std::string::npos;
}

std::string percent(const Json& part) { return fmt::format("{:.4g}%", part.value("share", 0.0) * 100); }

// "10.12.1.6:5701, outbound, from 10.1.0.9, TLS for db.example.com"
std::string question_text(const Json& connection) {
  std::string text = cell(connection, "destination") + ", " + cell(connection, "direction");
  if (const std::string source = cell(connection, "source"); !source.empty()) text += ", from " + source;
  const Json& tls = connection["tls"];
  if (tls.is_boolean()) text += tls.get<bool>() ? ", TLS" : ", not TLS";
  if (const std::string name = cell(connection, "serverName"); !name.empty()) text += " for " + name;
  return text;
}

// Where it ends up, in one or a few lines.
std::string answer_text(const Json& explanation) {
  const Json& clusters = explanation["clusters"];
  const std::string flags = cell(explanation, "responseFlags");
  std::string text;
  if (clusters.empty()) {
    text += explanation["listener"].is_null() ? "  goes nowhere: nobody listens there\n"
            : flags == "-"
                ? "  depends on the client's first bytes: --sni, --alpn, --tls or --plain say them\n"
                : "  goes nowhere: no filter chain takes it\n";
  }
  for (const Json& cluster : clusters) {
    text += clusters.size() == 1 ? "  goes to " : fmt::format("  goes to ({}) ", percent(cluster));
    text += cell(cluster, "name");
    if (!cluster.value("exists", false)) text += ", which does not exist";
    text += "\n";
  }
  if (!flags.empty() && flags != "-") text += fmt::format("  and is bound to end with {}\n", flags);
  return text;
}

std::string flow_text(const Json& flow) {
  if (!flow.is_object()) return {};
  const std::string upstream = cell(flow, "upstream"), reason = cell(flow, "laneReason");
  std::string text = "\nWhat happened\n";
  text += fmt::format("  flow {} is {}, {} old, from {}\n", cell(flow, "id"), cell(flow, "state"),
                      age_text(flow.value("ageSeconds", 0.0)), cell(flow, "downstream"));
  text += fmt::format("  cluster {}, upstream {}, connect attempts: {}\n", cell_or_dash(flow, "cluster"),
                      upstream.empty() ? "not chosen yet" : upstream, cell(flow, "connectAttempts"));
  text += fmt::format("  lane {}{}\n", cell_or_dash(flow, "lane"), reason.empty() ? "" : ": " + reason);
  text += fmt::format("  {} bytes from the client ({} of them moved by the kernel), {} bytes to it ({})\n",
                      cell(flow, "bytesReceived"), cell(flow, "splicedReceived"), cell(flow, "bytesSent"),
                      cell(flow, "splicedSent"));
  return text;
}

// Each object is named where it first matters; the steps that follow from it do not repeat it.
std::string steps_text(const Json& steps) {
  size_t widest = 0;
  for (const Json& step : steps) widest = std::max(widest, cell(step, "stage").size());
  std::string text = "\nHow it is decided\n", last;
  size_t number = 0;
  for (const Json& step : steps) {
    text += fmt::format("  {:>2}  {:<{}}  {}\n", ++number, cell(step, "stage"), widest, cell(step, "text"));
    const std::string object = object_text(step["object"]);
    if (object.empty() || object == "builtin" || object == last) continue;
    text += fmt::format("      {:<{}}  by {}\n", "", widest, object);
    last = object;
  }
  return text;
}

std::string indented(const std::string& block) {
  std::string text;
  for (const std::string_view line : split(block, '\n', /*skip_empty=*/true))
    text += fmt::format("  {}\n", line);
  return text;
}

std::string losers_text(const Json& losers) {
  if (losers.empty()) return {};
  std::string text = "\nWhat else wanted it, and why it lost\n";
  for (const Json& loser : losers) {
    text += fmt::format("  - {}\n    {}\n", cell(loser, "what"), cell(loser, "reason"));
    if (const std::string object = object_text(loser["object"]); !object.empty() && object != "builtin")
      text += fmt::format("    declared by {}\n", object);
  }
  return text;
}

std::string cures_text(const Json& cures) {
  if (cures.empty()) return {};
  std::string text = "\nIf that is not what you want\n";
  for (const Json& cure : cures) text += fmt::format("  * {}\n", cure.get<std::string>());
  return text;
}

std::string explanation_text(const Json& explanation) {
  std::string text = question_text(explanation["connection"]) + "\n" + answer_text(explanation) +
                     flow_text(explanation["flow"]) + steps_text(explanation["steps"]);
  if (const Json& endpoints = explanation["endpoints"]; !endpoints.empty())
    text += "\nEndpoints\n" + indented(endpoints_table(endpoints));
  return text + losers_text(explanation["losers"]) + cures_text(explanation["cures"]);
}

std::string target_of(const admin::Question& question) {
  std::string target =
      "/v1/explain?destination=" + url_encode(question.destination) + "&direction=" + question.direction;
  if (!question.source.empty()) target += "&source=" + url_encode(question.source);
  if (question.sni) target += "&sni=" + url_encode(*question.sni);
  if (!question.alpn.empty()) target += "&alpn=" + url_encode(question.alpn);
  if (question.tls) target += *question.tls ? "&tls=true" : "&tls=false";
  return target;
}

Result<Json> explain_offline(const Context& context, const Subject& subject,
                             const admin::Question& question) {
  SOCKMESH_TRY(snapshot, compile_offline(context, subject));
  SOCKMESH_TRY(connection, admin::connection_of(question, *snapshot));
  return admin::explanation_view(model::explain(*snapshot, connection), {}, nullptr, monotonic_now());
}

Result<Json> explanation_of(const Context& context, const ExplainOptions& options) {
  const bool flow = is_flow_id(options.what);
  if (flow && options.subject.offline())
    return fail("'{}': flow ids are known to a running agent only; offline give IP:PORT", options.what);
  if (flow) return get(context, "/v1/explain?flow=" + options.what);
  admin::Question question = options.question;
  question.destination = options.what;
  if (options.inbound) question.direction = "inbound";
  if (options.plain) question.tls = false;
  if (options.tls) question.tls = true;
  if (options.subject.offline()) return explain_offline(context, options.subject, question);
  return get(context, target_of(question));
}

Result<int> run_explain(Context& context, const ExplainOptions& options) {
  SOCKMESH_TRY(explanation, explanation_of(context, options));
  context.world.out << (options.output == "json" ? json_text(explanation) : explanation_text(explanation));
  return kOk;
}

}  // namespace

void declare_explain(CLI::App& app, Context& context) {
  auto options = std::make_shared<ExplainOptions>();
  app.add_option("what", options->what,
                 "IP:PORT or [IP6]:PORT as the application dials it, or the id of an open flow")
      ->required()
      ->type_name("IP:PORT|FLOW");
  add_output(app, options->output, {"text", "json"});
  add_subject(app, options->subject);
  app.add_option("--direction", options->question.direction, "inbound: as it arrives at the pod")
      ->check(CLI::IsMember({"inbound", "outbound"}));
  app.add_flag("--inbound", options->inbound, "the same as --direction inbound");
  app.add_option("--source", options->question.source, "the client's IP address, with or without a port");
  CLI::Option* sni =
      app.add_option("--sni", options->question.sni, "the client starts TLS with this server name");
  CLI::Option* alpn = app.add_option("--alpn", options->question.alpn,
                                     "the client starts TLS offering these protocols, separated by commas");
  CLI::Option* tls = app.add_flag("--tls", options->tls, "the client starts TLS without a server name");
  app.add_flag("--plain", options->plain, "the client's first bytes are not TLS")
      ->excludes(sni)
      ->excludes(alpn)
      ->excludes(tls);
  runs(app, context, options, run_explain);
}

}  // namespace sockmesh::ctl

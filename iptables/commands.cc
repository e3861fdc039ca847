#include "iptables/commands.h"

#include <fstream>
#include <ostream>

#include "base/strings.h"
#include "bpf/direct_pins.h"
#include "iptables/explain.h"
#include "iptables/render_iptables.h"
#include "iptables/render_nft.h"
#include "iptables/trace.h"
#include "iptables/transaction.h"

namespace sockmesh::iptables {

namespace {

std::string_view words(Action action) {
  constexpr std::string_view kWords[] = {"the rules are there already", "the rules are written",
                                         "the rules are repaired", "the rules are removed",
                                         "no rules were applied, as asked"};
  return kWords[static_cast<size_t>(action)];
}

struct Streams {
  std::ostream& out;
  std::ostream& err;
  Log log() const {
    return [this](const std::string& line) { err << "sockmesh-init: " << line << "\n"; };
  }
  int failed(const Failure& failure) const {
    err << "sockmesh-init: " << failure.error.message << "\n";
    return failure.exit_code;
  }
};

// The lines istio-init's dry run records: the state checks, the documents, the final saves.
std::string dry_run_record(const Plan& plan) {
  std::string record = "iptables-save\nip6tables-save\n" + restore_document(plan, Family::kV4);
  if (plan.ipv6) record += restore_document(plan, Family::kV6);
  record += "iptables-save\n";
  if (plan.ipv6) record += "ip6tables-save\n";
  return record;
}

int write_record(const Options& options, const std::string& record, const Streams& streams) {
  if (options.dry_run_file.empty()) return 0;
  std::ofstream file(options.dry_run_file);
  file << record;
  file.close();
  if (file) return 0;
  return streams.failed(
      {errorf("environment DRY_RUN_FILE_PATH '{}': cannot be written", options.dry_run_file)});
}

int dry_run(const Options& options, const Streams& streams) {
  const auto wanted = want(options, streams.log());
  if (!wanted) return streams.failed({wanted.error()});
  if (options.native_nftables) {
    streams.out << "# nft -f -\n" << nft_script(wanted->plan);
    return write_record(options, nft_script(wanted->plan), streams);
  }
  streams.out << "# iptables-restore --noflush\n" << restore_document(wanted->plan, Family::kV4);
  if (wanted->plan.ipv6)
    streams.out << "# ip6tables-restore --noflush\n" << restore_document(wanted->plan, Family::kV6);
  return write_record(options, dry_run_record(wanted->plan), streams);
}

int apply(const Options& options, const Streams& streams) {
  // New connections go to the proxy before the rule that let them pass it goes.
  if (options.cleanup_only && !options.direct_pins.empty())
    if (const auto removed = bpf::remove_direct_pins(options.direct_pins); !removed)
      return streams.failed({removed.error()});
  const auto action = run_transaction(options, streams.log());
  if (!action) return streams.failed(action.error());
  streams.log()(std::string(words(*action)));
  return 0;
}

int check(const Options& options, const Streams& streams) {
  const auto differences = check_rules(options, streams.log());
  if (!differences) return streams.failed(differences.error());
  for (const std::string& difference : *differences) streams.out << difference << "\n";
  if (!differences->empty()) return kExitFailure;
  streams.out << "the running rules are the wanted ones\n";
  return 0;
}

int explain_rules(const Options& options, const Streams& streams) {
  const auto wanted = want(options, streams.log());
  if (!wanted) return streams.failed({wanted.error()});
  streams.out << explain(wanted->plan);
  return 0;
}

int trace_connection(const CommandLine& line, const Streams& streams) {
  const auto wanted = want(line.options, streams.log());
  if (!wanted) return streams.failed({wanted.error()});
  const Packet packet = make_packet(line.trace, wanted->facts.addresses);
  streams.out << describe(trace(wanted->plan, packet, wanted->facts.group_ids), packet);
  return 0;
}

}  // namespace

int run_command(const std::vector<std::string>& args, const Environment& environment, std::ostream& out,
                std::ostream& err) {
  const Streams streams{out, err};
  auto line = parse_command_line(args, environment);
  if (!line) return streams.failed({line.error()});
  if (const auto settled = settle_dns_capture(*line); !settled) return streams.failed({settled.error()});
  for (const std::string& warning : line->warnings) streams.log()(warning);
  switch (line->command) {
    case Command::kHelp:
      out << usage();
      return 0;
    case Command::kCheck:
      return check(line->options, streams);
    case Command::kExplain:
      return explain_rules(line->options, streams);
    case Command::kTrace:
      return trace_connection(*line, streams);
    case Command::kApply:
      return line->options.dry_run ? dry_run(line->options, streams) : apply(line->options, streams);
  }
  return kExitFailure;
}

}  // namespace sockmesh::iptables

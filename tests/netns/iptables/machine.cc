#include "init_support/machine.h"

#include <regex>
#include <set>
#include <stdexcept>

#include "base/strings.h"
#include "iptables/saved_state.h"
#include "test_support/process.h"

namespace sockmesh::test {

namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (const std::string_view word : split(text, ' ', /*skip_empty=*/true)) words.emplace_back(word);
  return words;
}

// iptables-legacy keeps a table registered once anybody has looked at it, until the namespace goes. So a
// legacy table without a rule, a chain or a policy is the same as none.
std::string without_empty_tables(const std::string& saved) {
  std::string out;
  for (const iptables::SavedTable& table : iptables::parse_save(saved).tables) {
    const bool own_chain = table.chains.size() > 5 || table.text.find(" - [") != std::string::npos;
    const bool policy = table.text.find(" DROP [") != std::string::npos;
    if (!table.rules.empty() || own_chain || policy) out += iptables::without_counters(table.text);
  }
  return out;
}

}  // namespace

iptables::Options options_of(const std::string& flags, const Netns& netns) {
  auto line = iptables::parse_command_line(words_of(flags), [](const std::string&) { return std::nullopt; });
  if (!line) throw std::runtime_error(flags + ": " + line.error().message);
  line->options.network_namespace = "/run/netns/" + netns.name();
  return line->options;
}

InitResult run_init(const Netns& netns, const std::string& flags) {
  InitResult result;
  const auto log = [&](const std::string& line) { result.log += line + "\n"; };
  const auto action = iptables::run_transaction(options_of(flags, netns), log);
  if (action) {
    result.action = *action;
  } else {
    result.exit_code = action.error().exit_code;
    result.log += action.error().error.message;
  }
  return result;
}

std::vector<std::string> check_init(const Netns& netns, const std::string& flags) {
  const auto differences = iptables::check_rules(options_of(flags, netns), [](const std::string&) {});
  if (!differences) throw std::runtime_error("check: " + differences.error().error.message);
  return *differences;
}

void in_pod(const Netns& netns, const std::string& command) { must_run(words_of(command), &netns); }

std::string rules_and_routes(const Netns& netns) {
  std::string picture;
  for (const char* family : {"iptables", "ip6tables"}) {
    picture += iptables::without_counters(must_run({std::string(family) + "-nft-save"}, &netns));
    picture += without_empty_tables(must_run({std::string(family) + "-legacy-save"}, &netns));
  }
  for (const char* kind : {"-4", "-6"}) {
    picture += must_run({"ip", kind, "rule"}, &netns);
    picture += must_run({"ip", kind, "route", "show", "table", "all"}, &netns);
  }
  static const std::regex kLifetime("[a-z]+_lft [0-9]+sec");
  // Only with -o does ip not look for the link's peer in the other namespaces of the machine.
  return picture + std::regex_replace(must_run({"ip", "-o", "addr"}, &netns), kLifetime, "");
}

std::string picture_of(const Netns& netns) {
  static const std::regex kCounter("counter packets [0-9]+ bytes [0-9]+");
  return rules_and_routes(netns) +
         std::regex_replace(must_run({"nft", "list", "ruleset"}, &netns), kCounter, "counter");
}

std::vector<std::string> changed_lines(const std::string& before, const std::string& after) {
  const auto only_in_first = [](const std::string& first, const std::string& second, const char* sign) {
    std::multiset<std::string> others;
    for (const auto line : split(second, '\n')) others.emplace(line);
    std::vector<std::string> lines;
    for (const auto line : split(first, '\n')) {
      const auto found = others.find(std::string(line));
      if (found == others.end())
        lines.push_back(sign + std::string(line));
      else
        others.erase(found);
    }
    return lines;
  };
  std::vector<std::string> changed = only_in_first(before, after, "-");
  for (auto& line : only_in_first(after, before, "+")) changed.push_back(std::move(line));
  if (changed.empty() && before != after) changed.push_back("the order of the lines");
  return changed;
}

void add_foreign_rules(const Netns& netns, const std::string& binary_kind) {
  for (const char* family : {"iptables", "ip6tables"}) {
    for (const char* rule : {
             "-t nat -N DOCKER",
             "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
             "-t nat -A OUTPUT -p tcp --dport 2375 -j ACCEPT",
             "-t nat -A DOCKER -p tcp --dport 5000 -j REDIRECT --to-ports 5001",
             "-t nat -A POSTROUTING -o docker0 -j MASQUERADE",
             "-t filter -N CNI-FORWARD",
             "-t filter -A FORWARD -m comment --comment firewall -j CNI-FORWARD",
             "-t filter -A INPUT -p tcp --dport 22 -j ACCEPT",
             "-t mangle -A PREROUTING -i eth1 -j RETURN",
             "-t mangle -A OUTPUT -p tcp --dport 99 -j MARK --set-mark 5",
             "-t raw -A PREROUTING -p udp --dport 4789 -j CT --notrack",
         }) {
      in_pod(netns, fmt::format("{}-{} {}", family, binary_kind, rule));
    }
  }
}

}  // namespace sockmesh::test

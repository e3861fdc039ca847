#include "iptables/guard.h"

namespace sockmesh::iptables {

namespace {
constexpr std::string_view kComment = "sockmesh-guard";
constexpr std::string_view kChains[] = {"INPUT", "FORWARD", "OUTPUT"};
}  // namespace

bool is_guard(const SavedRule& rule) { return rule.body.find(kComment) != std::string::npos; }

std::string guard_document() {
  std::string text = "*filter\n";
  for (const std::string_view chain : kChains) {
    for (const std::string_view protocol : {"tcp", "udp"}) {
      text += fmt::format("-I {} 1 -p {} -m comment --comment {} -j DROP\n", chain, protocol, kComment);
    }
  }
  return text + "COMMIT\n";
}

std::string guard_removal(const SavedState& state) {
  const SavedTable* filter = state.find("filter");
  if (!filter) return {};
  std::string text;
  for (const SavedRule& rule : filter->rules) {
    if (is_guard(rule)) text += fmt::format("-D {} {}\n", rule.chain, rule.body);
  }
  return text.empty() ? text : "*filter\n" + text + "COMMIT\n";
}

}  // namespace sockmesh::iptables

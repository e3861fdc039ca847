#include "test_support/netem.h"

#include <stdexcept>

#include "base/strings.h"

namespace sockmesh::test {

bool set_netem(const Netns& netns, const std::string& device, const std::string& rules) {
  std::vector<std::string> argv{"tc", "qdisc", "replace", "dev", device, "root", "netem"};
  for (const std::string_view word : split(rules, ' ', true)) argv.emplace_back(word);
  const CommandResult result = run({.argv = argv, .netns = &netns});
  if (result.output.find("qdisc kind is unknown") != std::string::npos) return false;
  if (result.status != 0) throw std::runtime_error("tc-netem " + rules + ": " + result.output);
  netns.ip(fmt::format("link set dev {} mtu 1500 gso_max_segs 1", device));
  return true;
}

}  // namespace sockmesh::test

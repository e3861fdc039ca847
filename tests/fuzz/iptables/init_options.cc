// The command line and the environment of sockmesh-init. Lines of the input are words; a line "NAME=value" in
// capitals is a variable. Whatever is accepted must render to rules in which no value has become an option of
// iptables.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "base/strings.h"
#include "iptables/capture.h"
#include "iptables/render_iptables.h"
#include "iptables/render_nft.h"

using namespace sockmesh;
using namespace sockmesh::iptables;

namespace {

// Every rule ends with exactly one target and spans one line of printable characters.
void check_document(const std::string& document) {
  for (const std::string_view line : split(document, '\n')) {
    if (!line.starts_with("-A ") && !line.starts_with("-I ")) continue;
    int targets = 0;
    for (const std::string_view word : split(line, ' ')) targets += word == "-j";
    if (targets != 1) std::abort();
    for (const char c : line) {
      if (c < ' ' || c > '~' || c == '"' || c == '\'' || c == '\\') std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> args;
  std::map<std::string, std::string> variables;
  for (const std::string_view line : split(text, '\n')) {
    const size_t equals = line.find('=');
    if (equals != std::string_view::npos && !line.empty() && line[0] >= 'A' && line[0] <= 'Z')
      variables[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    else
      args.emplace_back(line);
  }
  const auto line = parse_command_line(args, [&](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
  if (!line) return 0;
  HostFacts facts;
  facts.addresses = line->options.host_ips;
  facts.addresses.push_back(IpAddress::v4(0x0a000001));
  facts.addresses.push_back(IpAddress::parse("fd00::1").value());
  facts.dns_servers = {IpAddress::v4(0x7f000035), IpAddress::loopback(true)};
  const auto capture = make_capture(line->options, facts);
  if (!capture) return 0;
  check_document(restore_document(capture->plan, Family::kV4));
  check_document(restore_document(capture->plan, Family::kV6));
  (void)nft_script(capture->plan);
  return 0;
}

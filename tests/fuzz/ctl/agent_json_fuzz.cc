// Any bytes as an agent's answer (another version's, or one who only claims to be an agent): every command
// that reads one ends with an exit status. The first byte chooses the command.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "ctl/cli.h"

using namespace sockmesh;
using namespace sockmesh::ctl;

namespace {

const std::vector<std::vector<std::string>> kCommands = {
    {"flows"},
    {"listeners"},
    {"clusters"},
    {"endpoints"},
    {"explain", "10.0.0.1:80"},
    {"status"},
    {"lanes"},
    {"log"},
    {"drain"},
    {"proxy-config", "clusters"},
    {"proxy-config", "listeners"},
    {"proxy-config", "endpoints"},
    {"proxy-config", "routes"},
    {"proxy-config", "all"},
    {"analyze"},
    {"flows", "-o", "yaml"},
    {"status", "-o", "json"},
    {"proxy-config", "listeners", "-o", "yaml"},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::ostringstream out, err;
  World world{
      .out = out,
      .err = err,
      .env = [](const char*) { return std::string(); },
      .http = [&](const std::string&, const std::string&, const std::string&) -> Result<HttpReply> {
        return HttpReply{200, body};
      },
      .read_file = [](const std::string& path) -> Result<std::string> { return fail("{}: none", path); },
      .now = [] { return WallTime(std::chrono::seconds(1787393472)); },
      .pause = [](Duration) { return false; }};
  const int status = ctl::run(kCommands[data[0] % kCommands.size()], world);
  if (status < 0 || status > 255) std::abort();
  return 0;
}

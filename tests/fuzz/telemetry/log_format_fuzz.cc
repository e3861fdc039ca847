// Any bytes as accessLogFormat, as text and as JSON: it compiles, a record is written by it, and the length
// of what it writes follows the format's.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/log_format.h"

using namespace sockmesh;
using namespace sockmesh::telemetry;

namespace {

ConnectionRecord some_record() {
  ConnectionRecord record;
  record.id = 7;
  record.started = WallTime(std::chrono::milliseconds(1787393472345));
  record.duration = std::chrono::milliseconds(506);
  record.downstream_remote = SocketAddress::parse("10.12.0.11:47316").value();
  record.downstream_local = SocketAddress::parse("[fd00::1]:5701").value();
  record.upstream_host = SocketAddress::parse("10.12.0.12:5701").value();
  record.listener = "10.0.23.154_5701";
  record.cluster = "outbound|5701||a.b";
  record.bytes_received = 6;
  record.bytes_sent = 12;
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ConnectionRecord record = some_record();
  for (const auto encoding : {model::AccessLogEncoding::kText, model::AccessLogEncoding::kJson}) {
    model::MeshSettings mesh;
    mesh.access_log_encoding = encoding;
    mesh.access_log_format = std::string(reinterpret_cast<const char*>(data), size);
    std::vector<std::string> warnings;
    const LogFormat format = LogFormat::of(mesh, warnings);
    std::string line;
    format.append_line(line, record);
    // No operator writes more than 256 bytes, and the shortest has three ("%X%"); escapes in JSON are six.
    if (line.size() > 4096 + 256 * size) std::abort();
  }
  return 0;
}

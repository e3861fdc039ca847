// LogFormat: an access-log format, compiled once and applied to every connection. Envoy's command operators
// (%BYTES_SENT%, %START_TIME(%H:%M:%S.%3f)%, %UPSTREAM_HOST%:15 as maximum length) as far as they make sense
// for TCP; those that only HTTP can fill print "-", as in Envoy; ours begin with SOCKMESH_. Immutable, any
// thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/snapshot.h"
#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

// Istio's default since 1.9 (docs/istio.md#access-log), 22 positions, newline included.
extern const char kDefaultTextFormat[];
// Until 1.7: a Mixer status in place of the two details, 21 positions.
extern const char kOldTextFormat[];

class LogFormat {
 public:
  // What an operator gives for one connection. Absent prints "-" in text and null in JSON.
  struct Value {
    enum class Kind : uint8_t { kAbsent, kText, kNumber } kind = Kind::kAbsent;
    std::string text;
    uint64_t number = 0;
  };
  using Operator = std::function<Value(const ConnectionRecord&)>;

  // A format of literal text and operators. An unknown operator prints "-" and is named in `warnings`.
  static LogFormat text(std::string_view format, std::vector<std::string>& warnings);
  // One JSON object a line: keys to formats. A value that is a single operator keeps its type (numbers,
  // null).
  static LogFormat json(const std::vector<std::pair<std::string, std::string>>& keys,
                        std::vector<std::string>& warnings);
  // What MeshConfig asks for: encoding, own format (JSON: an object of strings), old shape under 1.5.
  static LogFormat of(const model::MeshSettings& mesh, std::vector<std::string>& warnings);

  void append_line(std::string& out, const ConnectionRecord& record) const;

 private:
  struct Piece {
    std::string literal;  // printed as it is when `value` is empty
    Operator value;
    size_t max_length = 0;  // of the text, 0: whole
  };
  struct Field {      // JSON
    std::string key;  // with quotes and colon, ready to print
    std::vector<Piece> pieces;
  };
  static std::vector<Piece> compile(std::string_view format, std::vector<std::string>& warnings);
  static void append_text(std::string& out, const std::vector<Piece>& pieces, const ConnectionRecord& record);

  std::vector<Piece> pieces_;  // text
  std::vector<Field> fields_;  // JSON when not empty
};

// The operator named `name` with the text of its parentheses, empty when unknown (log_operators.cc).
LogFormat::Operator log_operator(std::string_view name, std::string_view argument);

}  // namespace sockmesh::telemetry

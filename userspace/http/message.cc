#include "http/message.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace sockmesh::http {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Percent-decoding (RFC 3986, 2.1); in a query '+' is a blank, as HTML forms have it.
bool decode(std::string_view text, bool query, std::string& into) {
  into.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      if (c == '\0') return false;
      i += 2;
    } else if (c == '+' && query) {
      c = ' ';
    }
    into.push_back(c);
  }
  return true;
}

}  // namespace

const std::string* Request::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [&](const Header& one) { return equals_ignore_case(one.name, name); });
  return found == headers.end() ? nullptr : &found->value;
}

size_t Response::size() const {
  size_t bytes = 0;
  for (const Part& one : body) bytes += one->size();
  return bytes;
}

Response text_response(int status, std::string text) {
  if (text.empty() || text.back() != '\n') text += '\n';
  return {.status = status, .body = {part(std::move(text))}};
}

const char* reason_phrase(int status) {
  static constexpr std::pair<int, const char*> kPhrases[] = {
      {200, "OK"},
      {204, "No Content"},
      {400, "Bad Request"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {417, "Expectation Failed"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
  };
  for (const auto& [known, phrase] : kPhrases)
    if (known == status) return phrase;
  return "Unknown";
}

std::string response_head(const Response& response) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  // A 204 has no body and no length of one (RFC 9110, 8.6).
  if (response.status != 204)
    head += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", response.type, response.size());
  head += "Connection: close\r\n\r\n";
  return head;
}

bool decode_target(Request& request) {
  const std::string_view target = request.target;
  const size_t mark = target.find('?');
  if (!decode(target.substr(0, mark), false, request.path)) return false;
  if (mark == std::string_view::npos) return true;
  const auto fields = split(target.substr(mark + 1), '&', /*skip_empty=*/true);
  if (fields.size() > kMaxQueryFields) return false;
  for (const std::string_view field : fields) {
    const size_t equals = field.find('=');
    std::string name, value;
    if (!decode(field.substr(0, equals), true, name)) return false;
    if (equals != std::string_view::npos && !decode(field.substr(equals + 1), true, value)) return false;
    request.query.emplace(std::move(name), std::move(value));
  }
  return true;
}

}  // namespace sockmesh::http

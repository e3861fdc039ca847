#include "http/request_parser.h"

#include <algorithm>

#include "base/strings.h"

namespace sockmesh::http {

namespace {

constexpr size_t kFramingAllowance = 4096;  // bytes: chunk sizes and the last chunk of a small body

bool is_known(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"})
    if (method == known) return true;
  return false;
}

}  // namespace

struct RequestParser::Callbacks {
  static RequestParser& self(llhttp_t* parser) { return *static_cast<RequestParser*>(parser->data); }

  static int url(llhttp_t* parser, const char* data, size_t length) {
    self(parser).request_.target.append(data, length);
    return 0;
  }
  static int name(llhttp_t* parser, const char* data, size_t length) {
    RequestParser& me = self(parser);
    if (me.head_parsed_) return 0;  // a trailer
    auto& headers = me.request_.headers;
    if (headers.empty() || me.parser_in_value_) headers.emplace_back();
    me.parser_in_value_ = false;
    headers.back().name.append(data, length);
    return 0;
  }
  static int value(llhttp_t* parser, const char* data, size_t length) {
    RequestParser& me = self(parser);
    if (me.head_parsed_ || me.request_.headers.empty()) return 0;
    me.request_.headers.back().value.append(data, length);
    return 0;
  }
  static int value_complete(llhttp_t* parser) {
    self(parser).parser_in_value_ = true;
    return 0;
  }
  static int headers_complete(llhttp_t* parser) {
    RequestParser& me = self(parser);
    me.head_parsed_ = true;
    return me.head_is_acceptable() ? 0 : -1;
  }
  static int body(llhttp_t* parser, const char* data, size_t length) {
    RequestParser& me = self(parser);
    if (me.request_.body.size() + length > me.bounds_.body) {
      me.refuse(413, fmt::format("the body is larger than {} bytes", me.bounds_.body));
      return -1;
    }
    me.request_.body.append(data, length);
    return 0;
  }
  static int complete(llhttp_t* parser) {
    self(parser).complete_ = true;
    return HPE_PAUSED;  // one request a connection
  }

  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t table = [] {
      llhttp_settings_t made{};
      made.on_url = url;
      made.on_header_field = name;
      made.on_header_value = value;
      made.on_header_value_complete = value_complete;
      made.on_headers_complete = headers_complete;
      made.on_body = body;
      made.on_message_complete = complete;
      return made;
    }();
    return table;
  }
};

RequestParser::RequestParser(RequestBounds bounds) : bounds_(bounds) {
  llhttp_init(&parser_, HTTP_REQUEST, &Callbacks::settings());
  parser_.data = this;
}

RequestParser::State RequestParser::feed(std::string_view bytes) {
  raw_ += bytes.size();
  if (!head_ended_ && !settled()) {
    const size_t head = scan_head(bytes);
    if (!settled()) parse(bytes.substr(0, head));
    // What ends a head must be the same for both readers: the lines counted here, and llhttp.
    if (!settled() && head_parsed_ != head_ended_) refuse(400, "the end of the headers is not clear");
    bytes.remove_prefix(head);
  }
  if (head_ended_ && !settled() && !bytes.empty()) {
    continue_wanted_ = false;  // the body comes unasked
    body_raw_ += bytes.size();
    parse(bytes);
    if (!settled() && body_raw_ > 2 * bounds_.body + kFramingAllowance)
      refuse(413, fmt::format("the body and its framing are larger than {} bytes",
                              2 * bounds_.body + kFramingAllowance));
  }
  if (refused_status_ != 0) return State::kRefused;
  if (complete_) return State::kComplete;
  return std::exchange(continue_wanted_, false) ? State::kContinue : State::kMore;
}

// Lines end with CRLF and with nothing else, none is folded, none is blank before the request line, and there
// is no NUL: llhttp is lenient with some of these.
size_t RequestParser::scan_head(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const char before = std::exchange(last_, c);
    ++head_bytes_;
    if (head_bytes_ > bounds_.head) {
      refuse(431, fmt::format("the headers are larger than {} bytes", bounds_.head));
      return i + 1;
    }
    if ((c == '\n') != (before == '\r') || c == '\0') {
      refuse(400, c == '\0' ? "a NUL in the headers" : "a line that does not end with CR LF");
      return i + 1;
    }
    if (c == '\r') continue;
    if (c != '\n') {
      const bool first = line_bytes_++ == 0, blank = c == ' ' || c == '\t';
      if (lines_ == 0) {
        blanks_ += blank ? 1 : 0;
        if (line_bytes_ > bounds_.line)
          refuse(414, fmt::format("the request line is longer than {} bytes", bounds_.line));
      } else if (first && blank) {
        refuse(400, "a folded header line");
      } else if (first && c == ':') {
        refuse(400, "a header without a name");
      }
      if (settled()) return i + 1;
      continue;
    }
    if (line_bytes_ == 0) {
      if (lines_ == 0) refuse(400, "an empty line where the request line should be");
      head_ended_ = true;
      return i + 1;
    }
    if (lines_++ == 0 && blanks_ != 2) refuse(400, "the request line is not METHOD TARGET HTTP/1.1");
    if (lines_ > bounds_.headers + 1) refuse(431, fmt::format("more than {} headers", bounds_.headers));
    if (settled()) return i + 1;
    line_bytes_ = 0;
  }
  return bytes.size();
}

void RequestParser::parse(std::string_view bytes) {
  if (bytes.empty()) return;
  const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
  if (complete_ || refused_status_ != 0 || error == HPE_OK) return;
  refuse(400, fmt::format("not an HTTP/1.1 request: {}", llhttp_get_error_reason(&parser_)));
}

bool RequestParser::head_is_acceptable() {
  const auto not_acceptable = [this](int status, std::string why) {
    refuse(status, std::move(why));
    return false;
  };
  request_.method = llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
  if (parser_.http_major != 1 || parser_.http_minor > 1)
    return not_acceptable(400, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (!is_known(request_.method))
    return not_acceptable(501, fmt::format("method {} is not known here", request_.method));
  if (!request_.target.starts_with('/')) return not_acceptable(400, "the target does not begin with /");
  if (!decode_target(request_))
    return not_acceptable(
        400, fmt::format("the target cannot be decoded, or has more than {} query fields", kMaxQueryFields));

  size_t hosts = 0, encodings = 0;
  const bool http11 = parser_.http_minor == 1;
  bool expects = false;
  for (Header& one : request_.headers) {
    one.value = std::string(trim(one.value));
    if (equals_ignore_case(one.name, "Host")) ++hosts;
    if (equals_ignore_case(one.name, "Transfer-Encoding")) {
      if (!http11) return not_acceptable(400, "Transfer-Encoding in HTTP/1.0");
      if (++encodings > 1) return not_acceptable(400, "more than one Transfer-Encoding");
      if (!equals_ignore_case(one.value, "chunked"))
        return not_acceptable(501, fmt::format("Transfer-Encoding '{}': expected chunked", one.value));
    }
    if (equals_ignore_case(one.name, "Expect") && http11) {
      if (!equals_ignore_case(one.value, "100-continue"))
        return not_acceptable(417, fmt::format("Expect '{}': expected 100-continue", one.value));
      expects = true;
    }
  }
  if (hosts > 1 || (hosts == 0 && http11)) return not_acceptable(400, "exactly one Host is expected");

  const uint64_t length = (parser_.flags & F_CONTENT_LENGTH) ? parser_.content_length : 0;
  if (length > bounds_.body)
    return not_acceptable(413, fmt::format("a body of {} bytes: at most {} are taken", length, bounds_.body));
  continue_wanted_ = expects && (length > 0 || encodings > 0);
  return true;
}

void RequestParser::refuse(int status, std::string why) {
  if (settled()) return;
  refused_status_ = status;
  refused_ = std::move(why);
}

}  // namespace sockmesh::http

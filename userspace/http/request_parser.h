// RequestParser: the bytes of one HTTP/1.1 request, in pieces of any size, become a Request or a refusal. The
// grammar is llhttp's; what is here are the bounds, and the rules that llhttp leaves to its user: whatever
// two readers of the same bytes could understand in two ways (RFC 9112, 11.2) is refused. One request a
// parser: what follows it is never looked at. Not thread-safe; not movable (llhttp points at it).
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "http/message.h"

namespace sockmesh::http {

struct RequestBounds {  // bytes, except `headers`
  size_t line = 4096;   // the request line: 414 beyond
  size_t head = 16384;  // line and headers together: 431 beyond
  size_t headers = 64;  // their number: 431 beyond
  size_t body = 65536;  // decoded: 413 beyond; framing (chunk sizes, extensions, trailers) may double it
};

class RequestParser {
 public:
  enum class State {
    kMore,      // not complete yet
    kContinue,  // as kMore, and the client waits for "100 Continue" before it sends the body; said once
    kComplete,
    kRefused,  // answer refusal() and close
  };

  explicit RequestParser(RequestBounds bounds);
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  State feed(std::string_view bytes);  // of any size, "" included; nothing changes after kComplete, kRefused
  bool begun() const { return raw_ > 0; }  // a byte came
  const Request& request() const { return request_; }
  Request take_request() { return std::move(request_); }  // after kComplete; peer is the caller's to set
  Response refusal() const { return text_response(refused_status_, refused_); }

 private:
  struct Callbacks;

  size_t scan_head(std::string_view bytes);  // how many of them belong to the head; may refuse
  void parse(std::string_view bytes);
  void refuse(int status, std::string why);
  bool head_is_acceptable();
  bool settled() const { return complete_ || refused_status_ != 0; }

  const RequestBounds bounds_;
  llhttp_t parser_{};
  Request request_;
  bool parser_in_value_ = false;  // of a header: the next name begins another

  // The head as bytes: where lines end.
  size_t raw_ = 0, head_bytes_ = 0, line_bytes_ = 0, lines_ = 0, blanks_ = 0;
  char last_ = '\0';
  bool head_ended_ = false, head_parsed_ = false;

  size_t body_raw_ = 0;
  bool continue_wanted_ = false, complete_ = false;
  int refused_status_ = 0;
  std::string refused_;
};

}  // namespace sockmesh::http

// Request and Response: one HTTP exchange as plain values. Values, any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace sockmesh::http {

struct Header {
  std::string name, value;  // the name as it was sent; compare with equals_ignore_case()
};

struct Request {
  std::string method;                        // "GET", "POST"
  std::string target;                        // as it was sent: "/v1/flows?x=a%20b"
  std::string path;                          // decoded, without the query: "/v1/flows"
  std::map<std::string, std::string> query;  // decoded; of equal names the first
  std::vector<Header> headers;               // in the order they came; trailers are left out
  std::string body;
  SocketAddress peer;  // who asks; 0.0.0.0:0 over a Unix socket

  const std::string* header(std::string_view name) const;  // the first of that name; null: none
};

// A body is a chain of parts that several answers may share: a page is made once however many wait for it.
using Part = std::shared_ptr<const std::string>;
inline Part part(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

struct Response {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::vector<Part> body;

  size_t size() const;  // bytes of the body
};

Response text_response(int status, std::string text);  // a newline is added where there is none
const char* reason_phrase(int status);                 // "Not Found"; "Unknown" for what is not in the table

// "HTTP/1.1 200 OK" and the headers to the empty line. Every answer says Connection: close.
std::string response_head(const Response& response);

// Splits a target in origin form ("/path?query") and decodes it; false where an escape is broken or hides a
// NUL, and with more than kMaxQueryFields fields.
constexpr size_t kMaxQueryFields = 64;
bool decode_target(Request& request);

}  // namespace sockmesh::http

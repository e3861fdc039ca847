#include "http/request_parser.h"

#include <catch2/catch.hpp>

namespace sockmesh::http {

namespace {

using State = RequestParser::State;

// What became of `bytes`, given at once and, which must be the same, byte by byte: the status of a refusal,
// 200 for a request, 100 for one that waits for "100 Continue", 0 for one that is not complete.
int status_of(const std::string& bytes, RequestBounds bounds = {}) {
  const auto read = [&](size_t step) {
    RequestParser parser(bounds);
    State state = State::kMore, seen = State::kMore;
    for (size_t at = 0; at < bytes.size(); at += step) {
      state = parser.feed(std::string_view(bytes).substr(at, step));
      if (state == State::kContinue) seen = state;
      if (state == State::kRefused) return parser.refusal().status;
      if (state == State::kComplete) return 200;
    }
    return seen == State::kContinue ? 100 : 0;
  };
  const int whole = read(bytes.size());
  CHECK(read(1) == whole);
  return whole;
}

Request request_of(const std::string& bytes) {
  RequestParser parser({});
  REQUIRE(parser.feed(bytes) == State::kComplete);
  return parser.take_request();
}

std::string get(const std::string& headers) { return "GET / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"; }
std::string post(const std::string& headers, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body;
}

}  // namespace

TEST_CASE("a request, as values") {
  const Request request = request_of(
      "POST /v1/splice?enabled=true HTTP/1.1\r\nHost: x\r\nEmpty:\r\nPadded:  a b \t\r\nContent-Length: "
      "3\r\n\r\nabc");
  CHECK(request.method == "POST");
  CHECK(request.path == "/v1/splice");
  CHECK(request.query.at("enabled") == "true");
  CHECK(request.body == "abc");
  REQUIRE(request.headers.size() == 4);
  CHECK(request.headers[1].name == "Empty");
  CHECK(request.headers[1].value.empty());
  CHECK(*request.header("padded") == "a b");
  CHECK(request.header("absent") == nullptr);
}

TEST_CASE("what is a request") {
  CHECK(status_of(get("")) == 200);
  CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 200);  // no Host before 1.1
  CHECK(status_of("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of(post("", "")) == 200);  // curl -X POST: no body at all
  CHECK(status_of(post("Content-Length: 0\r\n", "")) == 200);
  CHECK(status_of(post("Content-Length: 3\r\n", "ab")) == 0);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n")) == 200);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")) == 200);
  CHECK(status_of(get("Content-Length: 3\r\n") + "abc") == 200);
  CHECK(status_of(get("Range: bytes=0-,0-,0-\r\n")) == 200);  // of no meaning here
  CHECK(status_of(get(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")) == 200);
  CHECK(status_of(get("A: \x80\xff\r\n")) == 200);
  CHECK(status_of("") == 0);
}

TEST_CASE("what follows a request is not looked at") {
  CHECK(status_of(get("") + get("")) == 200);
  CHECK(status_of(get("Connection: close\r\n") + "nonsense") == 200);
  RequestParser parser({});
  CHECK(parser.feed(post("Content-Length: 1\r\n", "abc")) == State::kComplete);
  CHECK(parser.feed("more") == State::kComplete);
  CHECK(parser.request().body == "a");
}

TEST_CASE("what could be understood in two ways is refused") {
  const std::string line = "GET / HTTP/1.1\r\n";
  for (const std::string& bytes : {
           std::string("GET / HTTP/1.1\nHost: a\n\n"),         // bare LF
           line + "Host: a\n\r\n",                             //
           line + "Host: a\r\n\n",                             //
           line + "Host: a\rB: b\r\n\r\n",                     // bare CR
           line + "Host: a\r\r\n\r\n",                         //
           line + "Host: a\r\nB: b\r\n c\r\n\r\n",             // folded
           line + "Host: a\r\nB: b\r\n\tc\r\n\r\n",            //
           line + " Host: a\r\n\r\n",                          //
           line + std::string("Host: a\0b\r\n\r\n", 13),       // NUL
           std::string("GET /\0 HTTP/1.1\r\n\r\n", 19),        //
           line + "Host : a\r\n\r\n",                          // a blank before the colon
           line + "Host: a\r\n: b\r\n\r\n",                    // no name
           line + "Host: a\r\nB\x01: b\r\n\r\n",               // not a token
           line + "Host: a\r\nB: \x01\r\n\r\n",                // a control character
           line + "Host: a\r\nnonsense\r\n\r\n",               // no colon
           line + "\r\n",                                      // no Host
           line + "Host: a\r\nhost: a\r\n\r\n",                // two
           "\r\n" + get(""),                                   // an empty line first
           std::string("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),  // two blanks
           std::string("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),  //
           std::string("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),  //
           std::string("get / HTTP/1.1\r\nHost: a\r\n\r\n"),   // methods are upper case
           std::string("GET /\r\n\r\n"),                       // HTTP/0.9
           std::string("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),   //
           std::string("GET / HTTP/1.2\r\nHost: a\r\n\r\n"),   //
           std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),    // HTTP/2's preface
           std::string("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // TLS
           post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
           post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
           post("Content-Length: 3, 3\r\n", "abc"),
           post("Content-Length: +3\r\n", "abc"),
           post("Content-Length: -3\r\n", "abc"),
           post("Content-Length: 0x3\r\n", "abc"),
           post("Content-Length:\r\n", "abc"),
           post("Content-Length: 99999999999999999999\r\n", "abc"),
           post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
           post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
           post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"),
           std::string("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\n"),
           post("Transfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\n", "3 \r\nabc\r\n0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"),
           post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
       }) {
    INFO(bytes);
    CHECK(status_of(bytes) == 400);
  }
}

TEST_CASE("what is clear but not spoken here is refused by name") {
  CHECK(status_of(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")) == 501);
  CHECK(status_of(post("Transfer-Encoding: gzip\r\n", "")) == 501);
  CHECK(status_of("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n") == 501);
  CHECK(status_of("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n") == 501);
  CHECK(status_of(post("Expect: 200-ok\r\nContent-Length: 3\r\n", "")) == 417);
  CHECK(status_of(post("Expect: 100-continue\r\nContent-Length: 3\r\n", "")) == 100);
  CHECK(status_of(post("Expect: 100-continue\r\n", "")) == 200);  // no body to wait for
}

TEST_CASE("nothing is without end") {
  const RequestBounds small{.line = 100, .head = 1000, .headers = 10, .body = 50};
  CHECK(status_of("GET /" + std::string(84, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", small) == 200);
  CHECK(status_of("GET /" + std::string(95, 'a'), small) == 0);
  CHECK(status_of("GET /" + std::string(96, 'a'), small) == 414);  // at the first byte too many

  std::string nine;
  for (int i = 0; i < 9; ++i) nine += "A: b\r\n";
  CHECK(status_of(get(nine), small) == 200);
  CHECK(status_of(get(nine + "A: b\r\n"), small) == 431);
  CHECK(status_of("GET / HTTP/1.1\r\nA: " + std::string(1000, 'b'), small) == 431);

  CHECK(status_of(post("Content-Length: 50\r\n", std::string(50, 'b')), small) == 200);
  CHECK(status_of(post("Content-Length: 51\r\n", ""), small) == 413);  // before a byte of it
  const std::string chunk = "a\r\n0123456789\r\n";
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", chunk + chunk + chunk + chunk + chunk), small) == 0);
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", chunk + chunk + chunk + chunk + chunk + chunk),
                  small) == 413);
  // Framing that carries nothing: extensions, and trailers.
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "1;" + std::string(5000, 'x')), small) == 413);
  std::string trailers;
  for (int i = 0; i < 1000; ++i) trailers += "A: b\r\n";
  CHECK(status_of(post("Transfer-Encoding: chunked\r\n", "0\r\n" + trailers), small) == 413);
}

TEST_CASE(
    "what a request may be when nothing else is said: 4 KiB of line, 16 KiB of head, 64 headers, 64 KiB") {
  CHECK(status_of("GET /" + std::string(4096 - 5, 'a')) == 0);
  CHECK(status_of("GET /" + std::string(4096 - 4, 'a')) == 414);
  CHECK(status_of("GET / HTTP/1.1\r\nA: " + std::string(16'384, 'b')) == 431);
  std::string headers;  // and Host
  for (int i = 0; i < 63; ++i) headers += "A: b\r\n";
  CHECK(status_of(get(headers)) == 200);
  CHECK(status_of(get(headers + "A: b\r\n")) == 431);
  CHECK(status_of(get("A: " + std::string(16'000, 'b') + "\r\n")) == 200);
  CHECK(status_of(post("Content-Length: 65536\r\n", std::string(65'536, 'b'))) == 200);
  CHECK(status_of(post("Content-Length: 65537\r\n", "")) == 413);
}

TEST_CASE("trailers are not headers") {
  const Request request =
      request_of(post("Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\nHost: evil\r\nA: b\r\n\r\n"));
  CHECK(request.headers.size() == 2);
  CHECK(*request.header("Host") == "a");
  CHECK(request.body == "x");
}

}  // namespace sockmesh::http

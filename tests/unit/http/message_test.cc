#include "http/message.h"

#include <catch2/catch.hpp>

namespace sockmesh::http {

namespace {

Request decoded(const std::string& target) {
  Request request;
  request.target = target;
  REQUIRE(decode_target(request));
  return request;
}

bool refused(const std::string& target) {
  Request request;
  request.target = target;
  return !decode_target(request);
}

}  // namespace

TEST_CASE("a target is a path and a query, both decoded") {
  const Request request = decoded("/v1/a%2Fb?destination=10.0.0.1%3A80&sni=a+b&flag&empty=&flag=late");
  CHECK(request.path == "/v1/a/b");
  CHECK(request.query == std::map<std::string, std::string>{
                             {"destination", "10.0.0.1:80"}, {"sni", "a b"}, {"flag", ""}, {"empty", ""}});
  CHECK(decoded("/a+b").path == "/a+b");  // '+' is a blank in queries alone
  CHECK(decoded("/?").query.empty());
}

TEST_CASE("a target that cannot be decoded is refused") {
  CHECK(refused("/%"));
  CHECK(refused("/%2"));
  CHECK(refused("/%zz"));
  CHECK(refused("/a%00b"));
  CHECK(refused("/?a=%0"));
  std::string many = "/?";
  for (size_t i = 0; i < kMaxQueryFields; ++i) many += "a&";
  CHECK_FALSE(refused(many));
  CHECK(refused(many + "b"));
}

TEST_CASE("the head of an answer") {
  CHECK(response_head(text_response(200, "ok")) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: "
        "close\r\n\r\n");
  CHECK(response_head({.status = 204}) == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

}  // namespace sockmesh::http

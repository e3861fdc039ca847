#include "connection/tls_hello.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "client_hello.h"

using namespace sockmesh::connection;

TEST_CASE("the server name is read, in lower case") {
  const auto hello = parse_client_hello(in_records(hello_message(server_name_extension("DB.Example.com"))));
  CHECK(hello.state == HelloState::kTls);
  CHECK(hello.server_name == "db.example.com");
  CHECK(hello.application_protocols.empty());
}

TEST_CASE("application protocols are read in the client's order") {
  Bytes extensions = alpn_extension({"istio-peer-exchange", "istio"});
  append(extensions, server_name_extension("a.b"));
  const auto hello = parse_client_hello(in_records(hello_message(extensions)));
  CHECK(hello.application_protocols == std::vector<std::string>{"istio-peer-exchange", "istio"});
  CHECK(hello.server_name == "a.b");
}

TEST_CASE("a hello may come in pieces, and in many records") {
  const size_t record = GENERATE(1, 7, 100, 16384);
  const Bytes whole = in_records(hello_message(server_name_extension("db.example.com")), record);
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK(parse_client_hello({whole.data(), length}).state == HelloState::kNeedMore);
  CHECK(parse_client_hello(whole).server_name == "db.example.com");
}

TEST_CASE("a hello without a name is TLS all the same") {
  CHECK(parse_client_hello(in_records(hello_message({}))).state == HelloState::kTls);
  CHECK(parse_client_hello(in_records(hello_message(extension(43, {2, 3, 4})))).server_name.empty());
}

TEST_CASE("what is not TLS is told by its first bytes") {
  for (const char* text : {"GET / HTTP/1.1\r\n", "\x16\x02", "\x15\x03\x01", "*1\r\n$4\r\nPING\r\n"})
    CHECK(parse_client_hello(bytes_of(text)).state == HelloState::kNotTls);
  CHECK(parse_client_hello(Bytes{0}).state == HelloState::kNotTls);
  CHECK(parse_client_hello(Bytes{}).state == HelloState::kNeedMore);
  CHECK(parse_client_hello(Bytes{22}).state == HelloState::kNeedMore);
}

TEST_CASE("broken hellos are not TLS") {
  const Bytes good = in_records(hello_message(server_name_extension("db.example.com")));
  SECTION("a server hello") {
    Bytes other = good;
    other[5] = 2;
    CHECK(parse_client_hello(other).state == HelloState::kNotTls);
  }
  SECTION("lengths that do not fit") {
    Bytes other = good;
    other[5 + 4 + 34] = 200;  // session id longer than the message
    CHECK(parse_client_hello(other).state == HelloState::kNotTls);
  }
  SECTION("an empty record") {
    CHECK(parse_client_hello(Bytes{22, 3, 1, 0, 0}).state == HelloState::kNotTls);
  }
  SECTION("a name with a control character") {
    CHECK(parse_client_hello(in_records(hello_message(server_name_extension("db\n")))).state ==
          HelloState::kNotTls);
  }
}

TEST_CASE("a hello longer than we look at is TLS with an unknown name") {
  Bytes extensions = extension(21, Bytes(20000));
  append(extensions, server_name_extension("late.example.com"));
  const Bytes whole = in_records(hello_message(extensions));
  CHECK(parse_client_hello({whole.data(), kMaxClientHello - 1}).state == HelloState::kNeedMore);
  const auto hello = parse_client_hello({whole.data(), kMaxClientHello});
  CHECK(hello.state == HelloState::kTls);
  CHECK(hello.server_name.empty());
}

#include "config/resources/protocol.h"

#include <catch2/catch.hpp>

using namespace sockmesh::config;

TEST_CASE("protocols by appProtocol, name and number") {
  CHECK(service_port_protocol(80, "http-a", "TCP", "tcp") == Protocol::kTcp);
  CHECK(service_port_protocol(80, "tcp-x", "TCP", "foo") == Protocol::kAuto);
  CHECK(service_port_protocol(80, "TCP-x", "TCP", std::nullopt) == Protocol::kTcp);
  CHECK(service_port_protocol(80, "grpc-web-x", "TCP", std::nullopt) == Protocol::kGrpcWeb);
  CHECK(service_port_protocol(3306, "db", "TCP", std::nullopt) == Protocol::kTcp);
  CHECK(service_port_protocol(6379, "", "TCP", std::nullopt) == Protocol::kAuto);
  CHECK(service_port_protocol(80, "tcp", "UDP", std::nullopt) == Protocol::kUdp);
  CHECK(service_port_protocol(80, "x", "TCP", "kubernetes.io/wss") == Protocol::kHttps);
}

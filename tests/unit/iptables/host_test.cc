#include "iptables/host.h"

#include <catch2/catch.hpp>

#include "iptables/capture.h"

namespace sockmesh::iptables {

namespace {

std::vector<std::string> servers(std::string_view text) {
  std::vector<std::string> out;
  for (const IpAddress& server : parse_resolv_conf(text)) out.push_back(server.to_string());
  return out;
}

std::string chosen(const std::vector<std::string>& addresses, bool dual_stack) {
  std::vector<IpAddress> parsed;
  for (const std::string& address : addresses) parsed.push_back(IpAddress::parse(address).value());
  const auto host = choose_host_address(parsed, dual_stack);
  return host ? host->address.to_string() + (host->ipv6 ? " with IPv6" : "") : "none";
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("resolv.conf") {
  CHECK(servers("nameserver 10.0.0.10\nnameserver fd00::a\n") == Texts{"10.0.0.10", "fd00::a"});
  CHECK(servers("search a b\n  nameserver\t10.0.0.10 # comment\r\n") == Texts{"10.0.0.10"});
  CHECK(servers("#nameserver 1.1.1.1\n;nameserver 1.1.1.1\nnameserver\nnameservers 1.1.1.1\n").empty());
  CHECK(servers("nameserver fe80::1%eth0\nnameserver dns.example\nnameserver 1.1.1.1\nnameserver 1.1.1.1") ==
        Texts{"fe80::1", "1.1.1.1", "1.1.1.1"});
  CHECK(servers("").empty());
}

TEST_CASE("the address that decides about IPv6") {
  CHECK(chosen({"127.0.0.1", "10.0.0.1", "fd00::1"}, false) == "10.0.0.1");
  CHECK(chosen({"127.0.0.1", "10.0.0.1", "fd00::1"}, true) == "10.0.0.1 with IPv6");
  CHECK(chosen({"::1", "fe80::1", "fd00::1", "10.0.0.1"}, false) == "fd00::1 with IPv6");
  CHECK(chosen({"10.0.0.1", "fe80::1"}, true) == "10.0.0.1");
  CHECK(chosen({"169.254.3.4", "224.0.0.5", "ff02::1"}, true) == "none");
  CHECK(chosen({}, false) == "none");
}

TEST_CASE("the proxy's ids") {
  Options options;
  HostFacts facts;
  CHECK(proxy_uids(options, facts) == std::vector<uint32_t>{1337});
  facts.envoy_user_uid = 101;
  CHECK(proxy_uids(options, facts) == std::vector<uint32_t>{101});
  CHECK(proxy_gids(options, facts) == std::vector<uint32_t>{101});
  options.proxy_uids = {3, 4};
  CHECK(proxy_gids(options, facts) == std::vector<uint32_t>{3, 4});
  options.proxy_gids = {5};
  CHECK(proxy_gids(options, facts) == std::vector<uint32_t>{5});
}

}  // namespace sockmesh::iptables

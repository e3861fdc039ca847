#include "server/pod_addresses.h"

#include <net/if.h>

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;

namespace {

FoundAddress found(const char* interface, unsigned index, unsigned flags, const char* ip) {
  return {interface, index, flags, IpAddress::parse(ip).value()};
}

std::vector<std::string> texts(const std::vector<FoundAddress>& addresses) {
  std::vector<std::string> list;
  for (const auto& one : addresses) list.push_back(one.interface + " " + one.ip.to_string());
  return list;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the addresses of a dual-stack pod are found, in the order of its interfaces") {
  // As the kernel lists them: one family after the other.
  CHECK(texts(reachable_addresses(
            {found("lo", 1, IFF_UP | IFF_LOOPBACK, "127.0.0.1"), found("eth0", 2, IFF_UP, "10.12.0.11"),
             found("net1", 3, IFF_UP, "172.16.0.5"), found("lo", 1, IFF_UP | IFF_LOOPBACK, "::1"),
             found("lo", 1, IFF_UP | IFF_LOOPBACK, "::6"), found("eth0", 2, IFF_UP, "fd12::b"),
             found("eth0", 2, IFF_UP, "fe80::1")})) ==
        Texts{"eth0 10.12.0.11", "eth0 fd12::b", "net1 172.16.0.5"});
}

TEST_CASE("addresses that nobody could reach are left out") {
  const struct {
    const char* what;
    FoundAddress one;
  } rows[] = {
      {"down", found("kube-ipvs0", 4, 0, "10.96.0.1")},
      {"loopback interface, whatever the address", found("lo", 1, IFF_UP | IFF_LOOPBACK, "10.0.0.1")},
      {"loopback address", found("dummy0", 4, IFF_UP, "127.0.0.9")},
      {"link-local", found("eth0", 2, IFF_UP, "169.254.1.1")},
      {"link-local", found("eth0", 2, IFF_UP, "fe80::1")},
      {"unspecified", found("eth0", 2, IFF_UP, "0.0.0.0")},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    CHECK(texts(reachable_addresses({row.one})).empty());
  }
  CHECK(reachable_addresses({}).empty());
}

TEST_CASE("an address that two interfaces have counts once, and a long list is cut") {
  CHECK(texts(reachable_addresses({found("eth0", 2, IFF_UP, "10.0.0.1"),
                                   found("net1", 3, IFF_UP, "10.0.0.1")})) == Texts{"eth0 10.0.0.1"});
  std::vector<FoundAddress> many;
  for (uint32_t i = 0; i < 1000; ++i) many.push_back({"eth0", 2, IFF_UP, IpAddress::v4(0x0a000001 + i)});
  CHECK(reachable_addresses(many).size() == kMaxInterfaceAddresses);
}

TEST_CASE("the kernel is asked") {
  const auto addresses = find_addresses();
  REQUIRE(addresses);
  CHECK(std::any_of(addresses->begin(), addresses->end(), [](const FoundAddress& one) {
    return one.interface == "lo" && one.index == 1 && (one.flags & IFF_LOOPBACK) && one.ip.is_loopback();
  }));
}

TEST_CASE("what interfaces have comes behind what the environment says, and says where it is from") {
  const std::vector<FoundAddress> pod = {found("eth0", 2, IFF_UP, "10.0.0.1"),
                                         found("eth0", 2, IFF_UP, "fd00::1")};
  Options options;
  options.identity.ips = {IpAddress::parse("10.0.0.1").value()};
  options.ips_from = "INSTANCE_IP";
  const Options all = with_interface_addresses(options, pod);
  REQUIRE(all.identity.ips.size() == 2);
  CHECK(all.identity.ips[0].to_string() == "10.0.0.1");
  CHECK(all.identity.ips[1].to_string() == "fd00::1");
  CHECK(origin_of(all.identity.ips[0], all) == "INSTANCE_IP");
  CHECK(origin_of(all.identity.ips[1], all) == "interface eth0");
  CHECK(origin_of(IpAddress::parse("fd00::2").value(), all) == "Pod");

  // The first one is the pod's own, whatever the order of the interfaces.
  options.identity.ips = {IpAddress::parse("fd00::1").value()};
  CHECK(with_interface_addresses(options, pod).identity.ips[0].to_string() == "fd00::1");

  options.ips_from = "--ip";
  CHECK(with_interface_addresses(options, pod).identity.ips.size() == 1);
  CHECK(with_interface_addresses({}, pod).identity.ips.empty());
}

// The kernel's raw counters as the application's bytes. That the rules are the kernel's is proved on real
// sockets, in tests/kernel/bpf/direct_close_test.cc.
#include "bpf/direct_record.h"

#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <cerrno>

using namespace sockmesh::bpf;

namespace {

direct_record ended() {
  direct_record record{};
  record.kind = DIRECT_ENDED;
  record.flow.established_ns = 1;
  record.flow.first_step = BPF_TCP_FIN_WAIT1;
  record.reading.bytes_retrans = 500;
  record.reading.bytes_acked = 1002;
  record.reading.bytes_received = 2001;
  record.reading.flags = DIRECT_FIN_CAME | DIRECT_FIN_SENT | DIRECT_FIN_ACKED;
  return record;
}

}  // namespace

TEST_CASE("SYN and FIN are not the application's") {
  direct_record record = ended();
  CHECK(sent_bytes(record) == 1000);
  CHECK(acked_bytes(record) == 1000);
  CHECK(received_bytes(record) == 2000);
  record.reading.flags = DIRECT_FIN_SENT;  // and lost, with the last 500 bytes
  record.reading.bytes_acked = 501;
  record.reading.in_flight = 501;
  CHECK(sent_bytes(record) == 1000);
  CHECK(acked_bytes(record) == 500);
  CHECK(received_bytes(record) == 2001);
  record.flow.established_ns = 0;  // a SYN with 30 bytes that nobody answered
  record.reading.flags = 0;
  record.reading.bytes_acked = 0;
  record.reading.in_flight = 31;
  CHECK(sent_bytes(record) == 30);
  CHECK(acked_bytes(record) == 0);
}

TEST_CASE("counters that were read one after another never wrap") {
  direct_record record = ended();
  record.reading.bytes_acked = 1;
  record.reading.bytes_received = 0;
  CHECK(sent_bytes(record) == 0);
  CHECK(acked_bytes(record) == 0);
  CHECK(received_bytes(record) == 0);
}

TEST_CASE("who closed first is the first step out of ESTABLISHED") {
  direct_record record = ended();
  CHECK(end_of(record) == DirectEnd::kClient);
  record.reading.error = ECONNRESET;  // what came later does not matter
  CHECK(end_of(record) == DirectEnd::kClient);
  record.flow.first_step = BPF_TCP_CLOSE_WAIT;
  CHECK(end_of(record) == DirectEnd::kServer);
  record.flow.first_step = BPF_TCP_CLOSE;
  CHECK(end_of(record) == DirectEnd::kReset);
  record.reading.error = ETIMEDOUT;
  CHECK(end_of(record) == DirectEnd::kTimeout);
  record.reading.error = ECONNABORTED;
  CHECK(end_of(record) == DirectEnd::kKilled);
  record.reading.error = EHOSTUNREACH;
  CHECK(end_of(record) == DirectEnd::kUnreachable);
  record.reading.error = 0;
  CHECK(end_of(record) == DirectEnd::kDisconnected);
  record.reading.shutdown = 3;
  CHECK(end_of(record) == DirectEnd::kAborted);
  record.kind = DIRECT_FAILED;
  CHECK(end_of(record) == DirectEnd::kNever);
  record = ended();
  record.kind = DIRECT_SEEN;
  record.flow.first_step = 0;
  CHECK(end_of(record) == DirectEnd::kOpen);
}

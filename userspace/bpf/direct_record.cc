#include "bpf/direct_record.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>

namespace sockmesh::bpf {

namespace {

// Of an open flow the counters are read one after another while they rise.
uint64_t less(uint64_t from, uint64_t what) { return from - std::min(from, what); }

}  // namespace

uint64_t sent_bytes(const direct_record& record) {
  const uint64_t syn_and_fin = (record.reading.flags & DIRECT_FIN_SENT) != 0 ? 2 : 1;
  return less(record.reading.bytes_acked + record.reading.in_flight, syn_and_fin);
}

uint64_t acked_bytes(const direct_record& record) {
  const uint64_t syn = record.flow.established_ns != 0 ? 1 : 0;
  const uint64_t fin = (record.reading.flags & DIRECT_FIN_ACKED) != 0 ? 1 : 0;
  return std::min(less(record.reading.bytes_acked, syn + fin), sent_bytes(record));
}

uint64_t received_bytes(const direct_record& record) {
  return less(record.reading.bytes_received, (record.reading.flags & DIRECT_FIN_CAME) != 0 ? 1 : 0);
}

DirectEnd end_of(const direct_record& record) {
  if (record.kind == DIRECT_FAILED) return DirectEnd::kNever;
  switch (record.flow.first_step) {
    case 0:
      return DirectEnd::kOpen;
    case BPF_TCP_FIN_WAIT1:
      return DirectEnd::kClient;
    case BPF_TCP_CLOSE_WAIT:
      return DirectEnd::kServer;
    default:
      break;
  }
  switch (record.reading.error) {
    case ECONNRESET:
    case EPIPE:
      return DirectEnd::kReset;
    case ETIMEDOUT:
      return DirectEnd::kTimeout;
    case ECONNABORTED:
      return DirectEnd::kKilled;
    case 0:
      return record.reading.shutdown != 0 ? DirectEnd::kAborted : DirectEnd::kDisconnected;
    default:
      return DirectEnd::kUnreachable;
  }
}

std::string_view to_string(DirectEnd end) {
  switch (end) {
    case DirectEnd::kOpen:
      return "open";
    case DirectEnd::kNever:
      return "never-established";
    case DirectEnd::kClient:
      return "client";
    case DirectEnd::kServer:
      return "server";
    case DirectEnd::kReset:
      return "server-reset";
    case DirectEnd::kTimeout:
      return "timeout";
    case DirectEnd::kUnreachable:
      return "unreachable";
    case DirectEnd::kKilled:
      return "killed";
    case DirectEnd::kAborted:
      return "client-reset";
    case DirectEnd::kDisconnected:
      break;
  }
  return "disconnected";
}

}  // namespace sockmesh::bpf

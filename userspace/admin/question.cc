#include "admin/question.h"

#include "base/strings.h"

namespace sockmesh::admin {

const model::Listener* bound_listener(const model::Snapshot& snapshot, const SocketAddress& destination) {
  const model::Listener* wildcard = nullptr;
  for (const model::ListenerPtr& listener : snapshot.listeners) {
    if (!listener->bind_to_port || listener.get() == snapshot.virtual_outbound ||
        listener.get() == snapshot.virtual_inbound)
      continue;
    for (const SocketAddress& address : listener->addresses) {
      if (address == destination) return listener.get();
      const bool same_family = address.ip.is_v6() == destination.ip.is_v6();
      if (address.ip.is_any() && same_family && address.port == destination.port) wildcard = listener.get();
    }
  }
  return wildcard;
}

Result<model::ConnectionInfo> connection_of(const Question& question, const model::Snapshot& snapshot) {
  model::ConnectionInfo info;
  const auto destination = SocketAddress::parse(question.destination);
  if (!destination)
    return fail("'{}': expected IP:PORT, [IP6]:PORT or the id of an open flow", question.destination);
  info.destination = *destination;

  if (question.direction != "outbound" && question.direction != "inbound")
    return fail("direction '{}': expected outbound or inbound", question.direction);
  info.direction = question.direction == "inbound" ? model::Direction::kInbound : model::Direction::kOutbound;

  if (!question.source.empty()) {
    if (const auto whole = SocketAddress::parse(question.source)) {
      info.source = *whole;
    } else if (const auto ip = IpAddress::parse(question.source)) {
      info.source.ip = *ip;
    } else {
      return fail("source '{}': expected an IP address, with or without a port", question.source);
    }
  }

  if (question.sni || !question.alpn.empty()) {
    info.hello = model::TlsHello{true, to_lower(question.sni.value_or("")), {}};
    for (const std::string_view name : split(question.alpn, ',', /*skip_empty=*/true))
      info.hello->application_protocols.emplace_back(trim(name));
  } else if (question.tls) {
    info.hello = model::TlsHello{*question.tls, ""};
  }
  info.bound = bound_listener(snapshot, info.destination);
  return info;
}

}  // namespace sockmesh::admin

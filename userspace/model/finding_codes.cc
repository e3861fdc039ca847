#include "model/finding_codes.h"

#include <algorithm>
#include <cassert>

namespace sockmesh::model {

namespace {

constexpr Severity kInfo = Severity::kInfo, kWarning = Severity::kWarning, kError = Severity::kError;

constexpr FindingCode kCodes[] = {
    {"IST0101", kError, "a reference to something that is not there", "name what exists, or create it"},
    {"IST0102", kInfo, "a namespace without sidecar injection", "label it istio-injection=enabled"},
    {"IST0103", kWarning, "a pod of an injected namespace without its sidecar", "start the pod again"},
    {"IST0106", kError, "an object that cannot be read, or is not valid",
     "mend it at the line that is named"},
    {"IST0107", kWarning, "an annotation on a kind that it does not go with", "move it where it is read"},
    {"IST0108", kWarning, "an annotation that nobody knows", "spell it as Istio does, or take it out"},
    {"IST0109", kError, "two VirtualServices of the mesh gateway have one host", "merge them"},
    {"IST0110", kError, "two Sidecars select one pod", "make their selectors exclude each other"},
    {"IST0111", kError, "two Sidecars of a namespace have no selector", "merge them"},
    {"IST0112", kError, "a route names no port of a Service that has several", "set destination.port"},
    {"IST0116", kWarning, "a pod belongs to Services that see one port by different protocols",
     "give the port one protocol"},
    {"IST0118", kInfo, "a port's name does not begin with its protocol",
     "call it tcp-..., or set appProtocol"},
    {"IST0123", kWarning, "a namespace is injected by two labels", "keep one of them"},
    {"IST0125", kWarning, "an annotation has a value that is not valid", "give what is expected"},
    {"IST0127", kWarning, "a selector that selects no pod", "select by labels that pods have"},
    {"IST0128", kWarning, "a DestinationRule asks for TLS without verifying whom it talks to",
     "set caCertificates"},
    {"IST0129", kWarning, "a port of a DestinationRule asks for TLS without verifying whom it talks to",
     "set caCertificates"},
    {"IST0130", kWarning, "a route that is never reached, since an earlier one takes everything",
     "put it before, or take it out"},
    {"IST0131", kInfo, "a match that is never reached, since an earlier one takes it", "take it out"},
    {"IST0132", kWarning, "a VirtualService's host is not one of its Gateway's", "add it to the Gateway"},
    {"IST0133", kWarning, "a field that is deprecated", "use the field that is named"},
    {"IST0134", kWarning, "a TCP ServiceEntry without addresses", "set spec.addresses"},
    {"IST0135", kInfo, "an annotation that is deprecated", "use what replaces it"},
    {"IST0137", kWarning, "Services of a pod send different ports to one target port",
     "give each a target port of its own"},
    {"IST0140", kWarning, "a VirtualService's subset has no effect at a gateway",
     "name the gateway in it, or leave the subset out"},
    {"IST0143", kError, "an application listens on localhost alone, behind a Service",
     "let it listen on the pod's address"},
    {"IST0144", kWarning, "a container runs as the sidecar's user", "run it as another"},
    {"IST0145", kError, "two Gateways of one selector have a port and a host in common", "part their hosts"},
    {"IST0150", kWarning, "an ExternalName Service's port has no name that says its protocol",
     "call it tcp-..."},
    {"IST0162", kWarning, "a Gateway's port is no target port of its Service", "add it to the Service"},
    {"IST0165", kWarning, "a VirtualService names a Gateway that was generated for the Gateway API",
     "use the route kinds of the Gateway API"},
    {"IST0166", kWarning, "a policy selects a Gateway API gateway by labels", "use targetRef"},
    {"IST0167", kWarning, "a Sidecar for pods that have no sidecar (ambient)", "take it out"},
    {"IST0173", kError, "a subset that no pod is of", "give it labels that pods have"},
    {"IST0174", kWarning, "a DestinationRule whose host nobody has",
     "name a Service or a ServiceEntry's host"},
    {"IST0177", kWarning, "two ServiceEntries give a port of one host different protocols", "give it one"},
    {"SM0001", kWarning, "a service without an address takes a port over on every address",
     "give it an address, or export it to fewer namespaces"},
    {"SM0002", kWarning, "a port is held by an older service without an address",
     "give one of them an address"},
    {"SM0003", kWarning, "an address and port are held by an older object",
     "take the address out of one of them, or export them to different namespaces"},
    {"SM0004", kWarning, "an ExternalName Service takes a port over (compatibilityVersion 1.5)",
     "export it to its own namespace (`exportTo: .`)"},
    {"SM0005", kWarning, "a Gateway's port is not exposed by its Service", "apply the patch that it names"},
    {"SM0006", kInfo, "HTTP routes, which are not applied at layer 4", "write them as `tcp` or `tls` routes"},
    {"SM0007", kWarning, "a share of a weighted route reaches nobody",
     "give the destination endpoints, or its weight to others"},
    {"SM0008", kWarning, "a Gateway's server loses its port to another",
     "take another port, or another `bind`"},
    {"SM0009", kWarning, "endpoints that nobody selects", "create the Service, or call the port as it does"},
    {"SM0010", kWarning, "a Gateway's TCP port is not opened, no route leads on from it",
     "add a `tcp` route whose `match.port` is the server's"},
    {"SM0011", kWarning, "a TCP route that can never match", "compare to ports of the service"},
    {"SM0012", kInfo, "a Service without an address", "set spec.clusterIP"},
    {"SM0013", kWarning, "a DestinationRule's TLS, which is not applied",
     "let the application speak TLS itself"},
    {"SM0014", kWarning, "a security policy, which is not enforced", "enforce it elsewhere"},
    {"SM0015", kInfo, "DYNAMIC_DNS, which is approximated", "none: the address that was dialled is used"},
    {"SM0016", kInfo, "a DestinationRule's ISTIO_MUTUAL, which is not applied",
     "let servers take plain TCP (PERMISSIVE)"},
    {"SM0101", kError, "two filter chains of one listener match alike: Envoy refuses it, so it is left out",
     "part their matches"},
    {"SM0201", kWarning, "a gateway server is HTTP: requests are not routed here", "make it TCP or TLS"},
    {"SM0202", kWarning, "a gateway's TCP server has no route: its port is not opened",
     "add a `tcp` route whose `match.port` is the server's"},
    {"SM0203", kWarning, "a gateway server terminates TLS, which this proxy does not",
     "use mode PASSTHROUGH and `tls` routes, or terminate it before"},
    {"SM0204", kError, "a Gateway API backend may not be used (kind, or no ReferenceGrant)",
     "grant it, or name a Service"},
    {"SM0205", kWarning, "a Gateway API listener or route that is not served", "see what its text expects"},
    {"SM0206", kWarning, "an egress listener or a gateway's server is on a Unix socket: it is not opened",
     "use `bind: 127.0.0.1` and captureMode NONE"},
    {"SM0301", kError, "an egress annotation of the pod has an entry that is no CIDR block",
     "write it as 10.0.0.0/8"},
    {"SM0302", kWarning, "the agent was started with `--disturb`, which is for tools/stress alone",
     "start it without"},
};

}  // namespace

std::span<const FindingCode> finding_codes() { return kCodes; }

const FindingCode* find_finding_code(std::string_view code) {
  const auto* at =
      std::lower_bound(std::begin(kCodes), std::end(kCodes), code,
                       [](const FindingCode& row, std::string_view key) { return row.code < key; });
  return at != std::end(kCodes) && at->code == code ? at : nullptr;
}

Finding make_finding(std::string_view code, OriginPtr object, std::string text) {
  const FindingCode* row = find_finding_code(code);
  assert(row);
  return {std::string(code), row ? row->severity : kError, std::move(object), std::move(text)};
}

}  // namespace sockmesh::model

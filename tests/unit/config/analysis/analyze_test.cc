// One small mesh a code: what is found, word by word where Istio has the words, and what is not.
#include "fixture.h"

using namespace sockmesh;
using namespace sockmesh::config;

TEST_CASE("analyze: a sound mesh has nothing to report") {
  const Found found = run(
      kEcho +
      object("VirtualService", "v", "spec: {hosts: [echo], tcp: [{route: [{destination: {host: echo}}]}]}") +
      object("DestinationRule", "d", "spec: {host: echo, subsets: [{name: all, labels: {app: echo}}]}"));
  CHECK(found.lines.empty());
}

TEST_CASE("analyze: the line has Istio's form") {
  CHECK(run(object("DestinationRule", "d", "spec: {host: nobody}")).lines ==
        std::vector<std::string>{
            "Warning [IST0174] (DestinationRule d.default m.yaml:1) The host nobody defined in the "
            "DestinationRule does not match any services in the mesh."});
  const model::Finding finding{
      "IST0102", model::Severity::kInfo,
      std::make_shared<model::Origin>(model::Origin{"Namespace", "testing", "", "", 0}), "x"};
  CHECK(to_string(finding) == "Info [IST0102] (Namespace testing) x");
  CHECK(is_suppressed(finding, "IST0102=Namespace testing"));
  CHECK(is_suppressed(finding, "IST0102=Namespace *"));
  CHECK_FALSE(is_suppressed(finding, "IST0103=Namespace testing"));
  CHECK_FALSE(is_suppressed(finding, "IST0102=Namespace other"));
  CHECK_FALSE(is_suppressed(finding, "IST0102"));
  CHECK(analyzers().size() >= 10);
}

TEST_CASE("analyze: an object's annotation suppresses its findings") {
  const std::string rule = object("DestinationRule", "d", "spec: {host: nobody}");
  CHECK(run(annotated(rule, "galley.istio.io/analyze-suppress: \"IST0101, IST0174\"")).lines.empty());
  CHECK(run(annotated(rule, "galley.istio.io/analyze-suppress: \"*\"")).lines.empty());
  CHECK(run(annotated(rule, "galley.istio.io/analyze-suppress: IST0101")).lines.size() == 1);
}

TEST_CASE("analyze: IST0101 names that lead nowhere") {
  const Found found = run(kEcho +
                          object("VirtualService", "v",
                                 "spec: {hosts: [echo], gateways: [mesh, gone], tcp: [{route: [{destination: "
                                 "{host: nobody}, weight: 1}, "
                                 "{destination: {host: echo, subset: v9}, weight: 1}, {destination: {host: "
                                 "echo, port: {number: 1}}, weight: 1}]}]}") +
                          object("Sidecar", "s", "spec: {workloadSelector: {labels: {app: nobody}}}") +
                          object("Gateway", "g", "spec: {selector: {istio: none}}"));
  const std::string text = found.of("IST0101");
  CHECK_THAT(text, Catch::Contains("Error [IST0101] (VirtualService v.default m.yaml:") &&
                       Catch::Contains("Referenced gateway not found: \"gone\"\n"));
  CHECK_THAT(text, Catch::Contains("Referenced host not found: \"nobody\"\n"));
  CHECK_THAT(text, Catch::Contains("Referenced host+subset in destinationrule not found: \"echo+v9\"\n"));
  CHECK_THAT(text, Catch::Contains("Referenced host:port not found: \"echo:1\"\n"));
  CHECK_THAT(text, Catch::Contains("(Sidecar s.default") &&
                       Catch::Contains("Referenced selector not found: \"app=nobody\"\n"));
  CHECK_THAT(text, Catch::Contains("(Gateway g.default") &&
                       Catch::Contains("Referenced selector not found: \"istio=none\"\n"));
  CHECK(found.count("IST0101") == 6);
}

TEST_CASE("analyze: IST0101 a host that is not exported here is unknown here") {
  const std::string hidden = annotated(service("hidden", "10.96.0.9"), "networking.istio.io/exportTo: \"~\"");
  CHECK(run(hidden + pod("p", "hidden", "10.244.0.9") +
            object("VirtualService", "v",
                   "spec: {hosts: [x], tcp: [{route: [{destination: {host: hidden}}]}]}"))
            .count("IST0101") == 1);
}

TEST_CASE("analyze: IST0102, IST0103, IST0123 the labels of namespaces") {
  const auto labelled = [](const std::string& name, const std::string& labels) {
    return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {" + labels + "}}\n---\n";
  };
  CHECK_THAT(run(labelled("default", "")).of("IST0102"),
             Catch::Equals("Info [IST0102] (Namespace default m.yaml:1) The namespace is not enabled for "
                           "Istio injection. Run 'kubectl label namespace "
                           "default istio-injection=enabled' to enable it, or 'kubectl label namespace "
                           "default istio-injection=disabled' to explicitly mark "
                           "it as not needing injection.\n"));
  CHECK(run(labelled("kube-system", "") + labelled("a", "istio-injection: disabled") +
            labelled("b", "istio.io/rev: r"))
            .lines.empty());
  const Found both = run(labelled("default", "istio-injection: enabled, istio.io/rev: r") + kEcho);
  CHECK(both.count("IST0123") == 1);
  CHECK_THAT(both.of("IST0103"), Catch::StartsWith("Warning [IST0103] (Pod echo-1.default m.yaml:") &&
                                     Catch::EndsWith(") The pod echo-1.default is missing the Istio proxy. "
                                                     "This can often be resolved by restarting or "
                                                     "redeploying the workload.\n"));
  CHECK(run(labelled("default", "istio-injection: enabled") +
            annotated(pod("p", "x", "10.0.0.1"), "sidecar.istio.io/status: \"{}\""))
            .count("IST0103") == 0);
}

TEST_CASE("analyze: IST0106 what could not be read, and what Istio's validation refuses") {
  const Found unread = run(object("Service", "s", "spec: {clusterIP: oops}"));
  CHECK(unread.lines == std::vector<std::string>{"Error [IST0106] (Service s.default m.yaml:4) Schema "
                                                 "validation error: spec.clusterIP: 'oops': expected an IP "
                                                 "address or None (object left out)"});
  const auto entry_error = [](const std::string& rest) {
    return run(entry("e", "e.example.com", rest)).of("IST0106");
  };
  CHECK_THAT(entry_error("addresses: [10.0.0.0/8], resolution: DNS"),
             Catch::Contains("CIDR addresses are allowed only for NONE/STATIC"));
  CHECK_THAT(
      entry_error("resolution: STATIC, endpoints: [{address: 1.1.1.1}], workloadSelector: {labels: {a: b}}"),
      Catch::Contains("only one of WorkloadSelector or Endpoints"));
  CHECK_THAT(entry_error("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]"),
             Catch::Contains("0 or 1 endpoint"));
  CHECK_THAT(
      entry_error("ports: [{number: 1, name: a}, {number: 1, name: a}]"),
      Catch::Contains("port number 1 already defined") && Catch::Contains("port name \"a\" already defined"));
  CHECK_THAT(entry_error("resolution: DNS, endpoints: [{address: unix:///x, ports: {q: 1}}]"),
             Catch::Contains("UDS endpoints") && Catch::Contains("endpoint port q is not defined"));
  CHECK_THAT(run(entry("e", "\"*.example.com\"", "resolution: DNS")).of("IST0106"),
             Catch::Contains("hosts must be FQDN"));
  CHECK_THAT(run(object("VirtualService", "v", "spec: {hosts: [a]}")).of("IST0106"),
             Catch::Contains("http, tcp or tls must be provided"));
  CHECK_THAT(run(kEcho + object("VirtualService", "v",
                                "spec: {hosts: [echo], tls: [{match: [{sniHosts: [b.example.com]}], route: "
                                "[{destination: {host: echo}}]}]}"))
                 .of("IST0106"),
             Catch::Contains("SNI host \"b.example.com\" is not a compatible subset of any of the virtual "
                             "service hosts: [echo]"));
}

TEST_CASE("analyze: IST0107, IST0108, IST0125, IST0135 annotations") {
  const std::string text = service("echo", "10.96.0.1");
  CHECK_THAT(run(annotated(text, "traffic.sidecar.istio.io/excludeInboundPorts: \"1\"")).of("IST0107"),
             Catch::Contains("Warning [IST0107] (Service echo.default m.yaml:1) Misplaced annotation: "
                             "traffic.sidecar.istio.io/excludeInboundPorts can only be applied to Pod"));
  CHECK_THAT(run(annotated(text, "networking.istio.io/exportto: x")).of("IST0108"),
             Catch::Contains("Unknown annotation: networking.istio.io/exportto"));
  CHECK(run(annotated(text, "example.com/whatever: x")).lines.empty());
  const auto on_pod = [](const std::string& annotation) {
    return run(annotated(pod("p", "a", "10.0.0.1"), annotation));
  };
  CHECK_THAT(on_pod("traffic.sidecar.istio.io/excludeOutboundPorts: \"80,99999\"").of("IST0125"),
             Catch::Contains("Invalid annotation traffic.sidecar.istio.io/excludeOutboundPorts: '99999': "
                             "expected port numbers"));
  CHECK(on_pod("traffic.sidecar.istio.io/includeInboundPorts: \"*\"").lines.empty());
  CHECK_THAT(on_pod("traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/33").of("IST0125"),
             Catch::Contains("expected CIDR blocks"));
  CHECK_THAT(on_pod("sidecar.istio.io/interceptionMode: BOTH").of("IST0125"),
             Catch::Contains("expected REDIRECT, TPROXY or NONE"));
  CHECK_THAT(on_pod("sockmesh.io/egressPermit: x").of("IST0125"),
             Catch::Contains("'x': expected CIDR blocks"));
  CHECK_THAT(on_pod("sidecar.istio.io/inject: \"true\"").of("IST0135"),
             Catch::Contains("Annotation \"sidecar.istio.io/inject\" has been deprecated"));
}

TEST_CASE("analyze: IST0109 a host on the mesh in several VirtualServices") {
  const auto route = [](const std::string& name, const std::string& more) {
    return object("VirtualService", name,
                  "spec: {hosts: [echo], " + more + "tcp: [{route: [{destination: {host: echo}}]}]}");
  };
  const Found found = run(kEcho + route("a", "") + route("b", ""));
  CHECK(found.count("IST0109") == 2);
  CHECK_THAT(found.of("IST0109"),
             Catch::Contains(
                 "The VirtualServices default/a,default/b associated with mesh gateway define the same host "
                 "*/echo.default.svc.cluster.local which can lead to undefined behavior."));
  CHECK(run(kEcho + route("a", "exportTo: [x], ") + route("b", "exportTo: [y], ")).count("IST0109") == 0);
}

TEST_CASE("analyze: IST0110, IST0111 Sidecars") {
  const Found plain = run(object("Sidecar", "a", "spec: {}") + object("Sidecar", "b", "spec: {}"));
  CHECK_THAT(plain.of("IST0111"),
             Catch::Contains("The Sidecars [a b] in namespace \"default\" have no workload selector, which "
                             "can lead to undefined behavior."));
  const std::string selecting = "spec: {workloadSelector: {labels: {app: echo}}}";
  const Found both = run(kEcho + object("Sidecar", "a", selecting) + object("Sidecar", "b", selecting));
  CHECK(both.count("IST0110") == 2);
  CHECK_THAT(
      both.of("IST0110"),
      Catch::Contains(
          "The Sidecars [a b] in namespace \"default\" select the same workload pod \"echo-1.default\""));
}

TEST_CASE("analyze: IST0112 a destination with several ports and none chosen") {
  const Found found = run(service("multi", "10.96.0.2", "[{name: tcp-a, port: 1}, {name: tcp-b, port: 2}]") +
                          object("VirtualService", "v",
                                 "spec: {hosts: [multi], tcp: [{route: [{destination: {host: multi}}]}]}"));
  CHECK_THAT(found.of("IST0112"), Catch::Contains("This VirtualService routes to a service \"multi\" that "
                                                  "exposes multiple ports [1 2]. Specifying a port in the "
                                                  "destination is required to disambiguate."));
}

TEST_CASE("analyze: IST0116, IST0137 Services that share pods") {
  const auto sharing = [](const std::string& name, const std::string& port) {
    return object("Service", name, "spec: {clusterIP: None, selector: {app: x}, ports: [" + port + "]}");
  };
  const Found found =
      run(pod("p", "x", "10.0.0.1") + sharing("a", "{name: tcp, port: 80, targetPort: 9000}") +
          sharing("b", "{name: http, port: 81, targetPort: 9000}"));
  CHECK_THAT(found.of("IST0116"),
             Catch::Contains("This deployment p is associated with multiple services using port 9000 but "
                             "different protocols: [default/a default/b]"));
  CHECK_THAT(
      found.of("IST0137"),
      Catch::Contains("This deployment p is associated with multiple services [default/a default/b] using "
                      "targetPort \"9000\" but different ports: [80 81]."));
}

TEST_CASE("analyze: IST0118, IST0150, SM0012 Services") {
  CHECK_THAT(run(service("s", "10.96.0.1", "[{name: foo, port: 90, targetPort: web}]")).of("IST0118"),
             Catch::Contains("Info [IST0118] (Service s.default m.yaml:4) Port name foo (port: 90, "
                             "targetPort: web) doesn't follow the naming convention of Istio port."));
  CHECK(run(service("s", "10.96.0.1", "[{name: foo, port: 3306}]")).lines.empty());
  CHECK_THAT(run(object("Service", "x",
                        "spec: {type: ExternalName, externalName: a.b, ports: [{name: tcp-x, port: 5701}, "
                        "{name: http, port: 80}]}"))
                 .of("IST0150"),
             Catch::Contains("Port name for ExternalName service is invalid. Proxy may prevent tcp named "
                             "ports and unmatched traffic"));
  CHECK(run(object("Service", "x", "spec: {ports: [{name: tcp, port: 1}]}")).count("SM0012") == 1);
}

TEST_CASE("analyze: IST0127, IST0173, IST0174 who is selected") {
  CHECK_THAT(
      run(kEcho + entry("e", "e.example.com", "addresses: [1.1.1.1], workloadSelector: {labels: {app: vm}}"))
          .of("IST0127"),
      Catch::Contains("No matching workloads for this resource with the following labels: app=vm"));
  const Found found =
      run(kEcho + object("DestinationRule", "d",
                         "spec: {host: echo, subsets: [{name: v1, labels: {version: v1}}, {name: all}]}"));
  CHECK(found.count("IST0173") == 1);
  CHECK_THAT(found.of("IST0173"),
             Catch::Contains(
                 "The Subset v1 defined in the DestinationRule does not select any pods. Which may lead to "
                 "503 UH (NoHealthyUpstream).\n"));
  CHECK(run(kEcho + object("DestinationRule", "d", "spec: {host: \"*.default.svc.cluster.local\"}"))
            .lines.empty());
}

TEST_CASE("analyze: IST0130, IST0131 entries that are never reached") {
  const std::string route = "route: [{destination: {host: echo}}]";
  const Found after_all = run(kEcho + object("VirtualService", "v",
                                             "spec: {hosts: [echo], tcp: [{" + route + "}, {" + route +
                                                 "}, {match: [{port: 9000}], " + route + "}]}"));
  CHECK_THAT(after_all.of("IST0130"),
             Catch::Contains("VirtualService rule #1 not used (only the last rule can have no matches).") &&
                 Catch::Contains("VirtualService rule #2 not used (rule #0 before it has no matches)."));
  const Found twice = run(kEcho + object("VirtualService", "v",
                                         "spec: {hosts: [echo], tcp: [{match: [{port: 9000}], " + route +
                                             "}, {match: [{port: 9000}], " + route + "}]}"));
  CHECK_THAT(twice.of("IST0131"),
             Catch::Contains(
                 "VirtualService rule #1 match #0 is not used (duplicate/overlapping match in rule #0)."));
  CHECK_THAT(twice.of("IST0130"),
             Catch::Contains("VirtualService rule #1 not used (all matches used by prior rules)."));
}

TEST_CASE("analyze: IST0134, IST0177 ServiceEntries") {
  CHECK_THAT(run(entry("e", "e.example.com", "ports: [{number: 1, name: a, protocol: TCP}]")).of("IST0134"),
             Catch::Contains("ServiceEntry addresses are required for this protocol."));
  CHECK(run(entry("e", "e.example.com", "ports: [{number: 1, name: a, protocol: HTTP}]")).lines.empty());
  const auto with = [](const std::string& name, const std::string& protocol) {
    return entry(name, "e.example.com",
                 "addresses: [1.1.1.1], ports: [{number: 1, name: a, protocol: " + protocol + "}]");
  };
  const Found two = run(with("a", "TCP") + with("b", "HTTP"));
  CHECK(two.count("IST0177") == 2);
  CHECK_THAT(two.of("IST0177"),
             Catch::Contains("The ServiceEntries default/a, default/b define the same host "
                             "e.example.com and port 1 with different protocols: HTTP, TCP"));
  CHECK(run(with("a", "TCP") + with("b", "TCP")).count("IST0177") == 0);
}

TEST_CASE("analyze: IST0132, IST0140, IST0145, SM0008, SM0010 gateways") {
  const auto gateway = [](const std::string& name, const std::string& port,
                          const std::string& host = "\"*\"") {
    return object("Gateway", name,
                  "spec: {selector: {istio: gw}, servers: [{port: {number: " + port +
                      ", name: tcp, protocol: TCP}, hosts: [" + host + "]}]}");
  };
  const std::string route = "tcp: [{match: [{port: 9000}], route: [{destination: {host: echo}}]}]}";
  const std::string base =
      kEcho + object("VirtualService", "v", "spec: {hosts: [\"*\"], gateways: [g], " + route);
  const std::string gateway_pod =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: gw, labels: {istio: gw}}\n---\n";

  CHECK(run(base + gateway_pod + gateway("g", "9000")).lines.empty());
  const Found conflict =
      run(base + gateway_pod + created(gateway("g", "9000"), "2020") + created(gateway("h", "9000"), "2021"));
  CHECK(conflict.count("IST0145") == 2);
  CHECK_THAT(
      conflict.of("IST0145"),
      Catch::Contains("Conflict with gateways default/h (workload selector istio=gw, port 9000, hosts *)."));
  CHECK_THAT(conflict.of("SM0008"), Catch::StartsWith("Warning [SM0008] (Gateway h.default") &&
                                        Catch::Contains("the older Gateway default/g has it"));
  // Of one age: by name, then by namespace, as the compiler sorts them.
  const auto in = [](std::string text, const std::string& ns) {
    return text.insert(text.find("metadata: {") + 11, "namespace: " + ns + ", ");
  };
  CHECK_THAT(
      run(base + gateway_pod + in(gateway("g", "9000"), "z") + in(gateway("h", "9000"), "a")).of("SM0008"),
      Catch::StartsWith("Warning [SM0008] (Gateway h.a") && Catch::Contains("the older Gateway z/g has it"));

  const Found closed = run(base + gateway_pod + gateway("g", "9001"));
  CHECK_THAT(closed.of("SM0010"), Catch::Contains("Port 9001 is not opened") &&
                                      Catch::Contains("VirtualService default/v names it, but has no"));
  CHECK_THAT(run(base + gateway_pod + gateway("g", "9000") + gateway("lonely", "7000")).of("SM0010"),
             Catch::Contains("No VirtualService names it"));

  CHECK_THAT(run(kEcho + gateway_pod + gateway("g", "9000", "a.example.com") +
                 object("VirtualService", "v", "spec: {hosts: [b.example.com], gateways: [g], " + route))
                 .of("IST0132"),
             Catch::Contains("one or more host [b.example.com] defined in VirtualService default/v not found "
                             "in Gateway default/g."));

  const Found subset =
      run(base + gateway_pod + gateway("g", "9000") +
          object("DestinationRule", "d", "spec: {host: echo, subsets: [{name: all, labels: {app: echo}}]}") +
          object("VirtualService", "inner",
                 "spec: {hosts: [echo], tcp: [{route: [{destination: {host: echo, subset: all}}]}]}"));
  CHECK_THAT(
      subset.of("IST0140"),
      Catch::Contains(
          "Subset in virtual service default/inner has no effect on ingress gateway default/v requests"));
}

TEST_CASE("analyze: IST0162, SM0005 a gateway's port that its Service does not expose, with the patch") {
  const std::string gateway = object("Gateway", "tcpecho-gw",
                                     "spec: {selector: {istio: aks-ingress}, servers: [{port: {number: 9000, "
                                     "name: tcpecho, protocol: TCP}, hosts: [\"*\"]}]}") +
                              kEcho +
                              object("VirtualService", "v",
                                     "spec: {hosts: [\"*\"], gateways: [tcpecho-gw], tcp: [{match: [{port: "
                                     "9000}], route: [{destination: {host: echo}}]}]}");
  const auto ingress = [](const std::string& ports) {
    return object("Service", "ingress",
                  "spec: {clusterIP: 10.0.55.192, type: LoadBalancer, selector: {istio: aks-ingress, app: "
                  "gw}, ports: " +
                      ports + "}") +
           "apiVersion: v1\nkind: Pod\nmetadata: {name: gw, labels: {istio: aks-ingress, app: gw}}\nspec: "
           "{containers: [{name: p, ports: [{name: high, containerPort: 9000}]}]}\n---\n";
  };
  const Found found = run(gateway + ingress("[{name: http2, port: 80}]"));
  CHECK_THAT(found.of("IST0162"),
             Catch::Contains("The gateway is listening on a target port (port 9000) that is not defined in "
                             "the Service associated with its workload "
                             "instances (Pod selector istio=aks-ingress). If you need to access the gateway "
                             "port through the gateway Service, it will "
                             "not be available."));
  CHECK_THAT(found.of("SM0005"),
             Catch::Contains("kubectl patch service ingress -n default --type=json -p '[{\"op\": \"add\", "
                             "\"path\": \"/spec/ports/-\", \"value\": {\"name\": "
                             "\"tcpecho\", \"port\": 9000, \"protocol\": \"TCP\", \"targetPort\": 9000}}]'"));
  CHECK(run(gateway + ingress("[{name: http2, port: 80}, {name: tcp-echo, port: 9000}]")).lines.empty());
  CHECK(run(gateway + ingress("[{name: tcp-x, port: 31400, targetPort: 9000}]")).count("IST0162") == 0);
  CHECK(run(gateway + ingress("[{name: tcp-x, port: 31400, targetPort: high}]")).count("IST0162") == 0);
}

TEST_CASE("analyze: SM0001, SM0002 services without an address") {
  const auto wide = [](const std::string& name, const std::string& more = "") {
    return entry(name, name + ".example.com",
                 "ports: [{number: 5701, name: tcp, protocol: TCP}], resolution: STATIC, endpoints: "
                 "[{address: 10.9.9.9}]" +
                     more);
  };
  const std::string pods = pod("hazelcast-1", "hazelcast", "10.244.5.1", "5701") +
                           pod("hazelcast-2", "hazelcast", "10.244.5.2", "5701");
  const Found taken = run(pods + wide("db"));
  CHECK(taken.count("SM0001") == 1);
  CHECK_THAT(taken.of("SM0001"), Catch::Contains("db.example.com takes every connection to port 5701") &&
                                     Catch::Contains("default/hazelcast-1, default/hazelcast-2") &&
                                     Catch::Contains("spec.exportTo: [\".\"]"));
  CHECK(run(pods + wide("db", ", addresses: [240.0.0.1]")).count("SM0001") == 0);
  // Pods of a headless Service have listeners of their own.
  CHECK(run(pods +
            object("Service", "hz",
                   "spec: {clusterIP: None, selector: {app: hazelcast}, ports: [{name: tcp, port: 5701}]}") +
            wide("db"))
            .count("SM0001") == 0);

  const Found both = run(created(wide("old"), "2020") + created(wide("new"), "2021"));
  CHECK(both.count("SM0002") == 1);
  CHECK_THAT(both.of("SM0002"), Catch::StartsWith("Warning [SM0002] (ServiceEntry new.default") &&
                                    Catch::Contains("the older ServiceEntry default/old keeps the port"));
  CHECK(run(wide("old", ", exportTo: [x]") + wide("new", ", exportTo: [y]")).count("SM0002") == 0);
}

TEST_CASE("analyze: SM0003 an address that an older ServiceEntry takes from its Service") {
  const std::string thief =
      created(entry("thief", "thief.example.com",
                    "addresses: [10.96.0.1], ports: [{number: 9000, name: tcp, protocol: TCP}], resolution: "
                    "STATIC, endpoints: [{address: 1.1.1.1}]"),
              "2019");
  const std::string owner =
      created(service("echo", "10.96.0.1"), "2020") + pod("echo-1", "echo", "10.244.0.1");
  const Found found = run(thief + owner);
  CHECK_THAT(found.of("SM0003"),
             Catch::StartsWith("Warning [SM0003] (Service echo.default") &&
                 Catch::Contains("10.96.0.1 port 9000 goes to thief.example.com, not to "
                                 "echo.default.svc.cluster.local: the older ServiceEntry default/thief"));
  CHECK(run(kEcho + entry("other", "other.example.com",
                          "addresses: [10.96.0.2], ports: [{number: 9000, name: tcp, protocol: TCP}]"))
            .count("SM0003") == 0);
}

TEST_CASE("analyze: SM0004 an ExternalName takes a port over, with the semantics of 1.5 only") {
  const std::string mesh =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: "
      "|-\n    compatibilityVersion: \"1.5\"\n---\n";
  const std::string accident =
      object("Service", "app-ext",
             "spec: {type: ExternalName, externalName: idle.manager.svc.cluster.local, ports: [{name: "
             "tcp-hazelcast, port: 5701}]}") +
      pod("manager-1", "manager", "10.12.1.6", "5701");
  CHECK(run(accident).count("SM0004") == 0);
  const Found found = run(mesh + accident);
  CHECK(found.count("SM0004") == 1);
  CHECK_THAT(found.of("SM0004"),
             Catch::Contains("(Service app-ext.default") && Catch::Contains("default/manager-1") &&
                 Catch::Contains("networking.istio.io/exportTo: \".\"") && Catch::Contains("VirtualService"));
}

TEST_CASE("analyze: SM0006, SM0007, SM0011 routes at layer 4") {
  CHECK_THAT(run(kEcho + service("other", "10.96.0.2") + pod("o", "other", "10.244.0.9") +
                 object("VirtualService", "v",
                        "spec: {hosts: [echo], http: [{route: [{destination: {host: other}}]}]}"))
                 .of("SM0006"),
             Catch::Contains("HTTP routes are not applied at layer 4: connections go to the owner of the "
                             "address, not to other."));
  const Found shares = run(kEcho + service("empty", "10.96.0.3") +
                           object("VirtualService", "v",
                                  "spec: {hosts: [echo], tcp: [{route: [{destination: {host: echo}, weight: "
                                  "80}, {destination: {host: empty}, weight: 20}, "
                                  "{destination: {host: echo}}]}]}"));
  CHECK_THAT(shares.of("SM0007"),
             Catch::Contains("20 % of the connections go to empty, which has no endpoints") &&
                 Catch::Contains("Destination echo gets no connection"));
  CHECK_THAT(run(kEcho + object("VirtualService", "v",
                                "spec: {hosts: [10.96.0.1], tcp: [{route: [{destination: {host: echo}}]}]}"))
                 .of("SM0011"),
             Catch::Contains("No route of this VirtualService is ever used for 10.96.0.1"));
  CHECK_THAT(
      run(kEcho +
          object(
              "VirtualService", "v",
              "spec: {hosts: [echo], tcp: [{match: [{port: 19000}], route: [{destination: {host: echo}}]}]}"))
          .of("SM0011"),
      Catch::Contains("This match can never be true: port 19000"));
}

TEST_CASE("analyze: SM0009 endpoints that nobody selects") {
  const auto slice = [](const std::string& of, const std::string& port) {
    return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: "
           "{kubernetes.io/service-name: " +
           of +
           "}}\naddressType: IPv4\n"
           "endpoints: [{addresses: [10.0.0.1]}]\nports: [{name: " +
           port + ", port: 9000}]\n---\n";
  };
  CHECK(run(kEcho + slice("echo", "tcp")).lines.empty());
  CHECK_THAT(run(kEcho + slice("gone", "tcp")).of("SM0009"),
             Catch::Contains("there is no Service default/gone"));
  CHECK_THAT(run(kEcho + slice("echo", "web")).of("SM0009"),
             Catch::Contains("Nobody selects port 9000 (\"web\")"));
  CHECK_THAT(run(object("WorkloadEntry", "vm", "spec: {address: 10.0.0.1, labels: {app: vm}}")).of("SM0009"),
             Catch::Contains("Nobody selects this WorkloadEntry"));
}

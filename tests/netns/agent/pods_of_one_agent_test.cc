// Two pods, each in a network namespace of its own, served by one process, which is in neither: listeners,
// dials, clusters, configuration and counters are each pod's own. The process is this one: its agent has the
// user that the rules exempt, and keeps the capabilities that it takes to enter a pod.
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "mesh.h"
#include "server/agent.h"
#include "test_support/eventually.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

constexpr uint16_t kPort = 7000;

// Service NAME at CLUSTER_IP for the pod NAME-0, which has POD_IP.
std::string service_of_one_pod(const std::string& name, const std::string& cluster_ip,
                               const std::string& pod_ip) {
  return fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: {0}, namespace: data}}
spec:
  clusterIP: {1}
  selector: {{app: {0}}}
  ports:
  - {{name: tcp, port: 7000}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {0}-0, namespace: data, labels: {{app: {0}}}}}
status: {{podIP: {2}}}
---
)",
                     name, cluster_ip, pod_ip);
}

SocketAddress at(const std::string& ip) { return {IpAddress::parse(ip).value(), kPort}; }

pod::PodPtr make_pod(const std::string& name, test::Pod& where) {
  config::ProxyIdentity identity;
  identity.pod = name;
  identity.ns = "data";
  identity.ips = {where.v4};
  auto network = net::NetworkNamespace::open(fmt::format("/proc/self/fd/{}", where.netns.fd()));
  REQUIRE(network);
  return std::make_shared<pod::Pod>(std::move(identity), std::move(*network));
}

// The agent, with a main thread of its own. Reading what it is for any thread to read is all that others do.
class AgentOfPods {
 public:
  AgentOfPods(const std::string& folder, std::vector<pod::PodPtr> pods) {
    std::promise<Result<void>> begun;
    thread_ = std::thread([this, &folder, &pods, &begun] {
      auto loop = event::Loop::create(event::Backend::kEpoll);
      loop_ = loop->get();
      auto began = begin(folder, pods);
      const bool runs = began.has_value();
      begun.set_value(std::move(began));
      if (runs) (*loop)->run();
      agent_.reset();
    });
    const auto began = begun.get_future().get();
    INFO((began ? "" : began.error().message));
    if (!began) thread_.join();
    REQUIRE(began);
  }
  ~AgentOfPods() {
    loop_->stop();
    thread_.join();
  }
  AgentOfPods(const AgentOfPods&) = delete;
  AgentOfPods& operator=(const AgentOfPods&) = delete;

  const server::ServedPod& pod(size_t number) const { return *agent_->pods()[number]; }
  // In the main thread; returns when it is done.
  void stop_accepting(size_t number) {
    std::promise<void> done;
    loop_->post([&] {
      agent_->pods()[number]->stop_accepting(std::nullopt);
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  Result<void> begin(const std::string& folder, const std::vector<pod::PodPtr>& pods) {
    become_proxy();
    server::Options options;
    options.workers = 2;
    options.data_path = datapath::Mode::kAuto;
    auto splicing = server::prepare_splicing(options.data_path, options.workers, {});
    SOCKMESH_TRY(agent, server::Agent::create(*loop_, options, 1000, std::move(splicing)));
    agent_ = std::move(agent);
    std::vector<std::pair<server::ServedPod*, std::vector<std::vector<server::CaptureSocket>>>> all;
    for (const pod::PodPtr& pod : pods) {
      SOCKMESH_TRY(capture,
                   server::bind_capture_sockets(pod, server::Interception::kRedirect, options.workers));
      SOCKMESH_TRY(served, agent_->serve(pod, {}, std::make_shared<int>()));
      all.emplace_back(served, std::move(capture));
    }
    agent_->start();
    for (auto& [served, capture] : all) served->listen(std::move(capture));
    agent_->configure(server::folder_origin(folder));
    return {};
  }

  // This thread and those that it makes; glibc's setuid() would change them all.
  static void become_proxy() {
    REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) == 0);
    REQUIRE(syscall(SYS_setresgid, 1337, 1337, 1337) == 0);
    REQUIRE(syscall(SYS_setresuid, 1337, 1337, 1337) == 0);
  }

  event::Loop* loop_ = nullptr;
  std::unique_ptr<server::Agent> agent_;
  std::thread thread_;
};

// Two pods with rules and an echo server each on the same port, Services left and right in front of them, and
// their agent, which has a configuration for both.
struct TwoPods {
  TwoPods()
      : left(mesh.pod("left-0", "10.12.3.10")),
        right(mesh.pod("right-0", "10.12.4.10")),
        log(log_folder.file("access.log")) {
    mesh.apply("mesh-config.yaml",
               "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
               "data:\n  mesh: \"accessLogFile: " +
                   log + "\"\n");
    mesh.apply("services.yaml", service_of_one_pod("left", "10.0.40.1", "10.12.3.10") +
                                    service_of_one_pod("right", "10.0.40.2", "10.12.4.10"));
    mesh.echo(left, kPort, "left:");
    mesh.echo(right, kPort, "right:");
    mesh.rules(left);
    mesh.rules(right);
    agent.emplace(mesh.config(), std::vector{make_pod("left-0", left), make_pod("right-0", right)});
    for (const size_t number : {0, 1}) EVENTUALLY(agent->pod(number).pod().snapshot());
  }
  std::vector<AccessLine> lines() const { return read_access_log(read_text(log)); }

  Mesh mesh;
  test::Pod &left, &right;
  TempDir log_folder;
  std::string log;
  const SocketAddress left_service = at("10.0.40.1"), right_service = at("10.0.40.2");
  std::optional<AgentOfPods> agent;  // the first: pod left
};

uint64_t connects(const server::ServedPod& served, const std::string& cluster) {
  const auto state = served.pod().clusters.find(cluster);
  return state ? state->connects.load() : 0;
}

}  // namespace

TEST_CASE("one agent serves two pods, and neither has anything of the other") {
  TwoPods world;
  Mesh& mesh = world.mesh;
  const server::ServedPod &left = world.agent->pod(0), &right = world.agent->pod(1);
  CHECK(left.pod().snapshot()->self.name != right.pod().snapshot()->self.name);

  CHECK(mesh.ask(world.left, world.right_service, "1") == "right: 1");
  CHECK(mesh.ask(world.right, world.left_service, "2") == "left: 2");
  CHECK(mesh.ask(world.right, world.left_service, "3") == "left: 3");
  // A pod that calls itself passes twice, with loopback addresses that both pods have.
  CHECK(mesh.ask(world.left, world.left_service, "4") == "left: 4");
  CHECK(mesh.ask(world.right, world.right_service, "5") == "right: 5");
  EVENTUALLY(world.lines().size() == 10);
  for (const AccessLine& line : world.lines()) {
    INFO(line.text);
    CHECK(line.flags == "-");
  }

  // Clusters of one name, each with its own pod's connections.
  CHECK(connects(left, "inbound|7000||") == 3);
  CHECK(connects(right, "inbound|7000||") == 2);
  CHECK(connects(left, "outbound|7000||right.data.svc.cluster.local") == 1);
  CHECK(connects(right, "outbound|7000||right.data.svc.cluster.local") == 1);
  telemetry::CounterTotals of_left, of_right;
  for (const server::PodTraffic* share : left.shares()) share->add_to(of_left);
  for (const server::PodTraffic* share : right.shares()) share->add_to(of_right);
  CHECK(of_left.clusters.contains("outbound|7000||right.data.svc.cluster.local"));
  CHECK(of_left.clusters.size() == 3);
  CHECK(of_right.clusters.size() == 3);
}

TEST_CASE("what is configured for one pod of an agent leaves the other as it is") {
  TwoPods world;
  Mesh& mesh = world.mesh;
  const server::ServedPod &left = world.agent->pod(0), &right = world.agent->pod(1);
  const model::SnapshotPtr before = left.pod().snapshot();
  mesh.apply("sidecar.yaml", R"(apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: right, namespace: data}
spec:
  workloadSelector: {labels: {app: right}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
  - hosts: ["./right.data.svc.cluster.local"]
)");
  EVENTUALLY(!right.pod().snapshot()->find_cluster("outbound|7000||left.data.svc.cluster.local"));
  CHECK(mesh.ask(world.right, world.left_service, "1").empty());
  CHECK(mesh.ask(world.left, world.right_service, "2") == "right: 2");
  CHECK(left.pod().snapshot()->version == before->version);
}

TEST_CASE("a pod of an agent that accepts nothing more does not end what the other has") {
  TwoPods world;
  Mesh& mesh = world.mesh;
  world.agent->stop_accepting(0);
  EVENTUALLY(mesh.ask(world.left, world.right_service, "1").empty());  // nobody listens on its port 15001
  CHECK(mesh.ask(world.right, world.right_service, "2") == "right: 2");
}

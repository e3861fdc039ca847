#include "mesh.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "base/strings.h"
#include "test_support/eventually.h"
#include "test_support/http.h"

namespace sockmesh::test {
namespace {

void must(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// One connection from inside the pod: sends `line`, returns the first line that comes back.
std::string exchange_line(Pod& from, const SocketAddress& to, const std::string& line) {
  std::string answer;
  from.netns.run([&] {
    const Fd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{patient(std::chrono::seconds(10)).count() / 1000, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_storage storage{};
    const socklen_t length = to.to_sockaddr(storage);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) return;
    if (!line.empty() && send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return;
    char byte = 0;
    while (recv(fd.get(), &byte, 1, 0) == 1 && byte != '\n') answer.push_back(byte);
  });
  return answer;
}

}  // namespace

Agent::Agent(Pod& pod, const std::string& name, const std::string& config, const std::string& hosts,
             const AgentOptions& options)
    : pod_(pod), run_dir_(dir_.file("run")) {
  // The pod sees the mesh's names as its /etc/hosts; stdout is the access log, stderr what the agent says.
  const std::string script =
      fmt::format("mount --bind {} /etc/hosts && exec \"$@\" 2>{}", hosts, dir_.file("stderr"));
  std::vector<std::string> argv{"unshare", "--mount", "sh", "-c", script, "sh"};
  argv.insert(argv.end(), options.before.begin(), options.before.end());
  for (const std::string& word :
       {built_program("sockmesh-agent"), std::string("--role"), options.role, std::string("--config"), config,
        std::string("--run-dir"), run_dir_, std::string("--data-path"), options.data_path,
        std::string("--workers"), std::to_string(options.workers), std::string("--interception-mode"),
        options.interception})
    argv.push_back(word);
  if (std::find(options.more.begin(), options.more.end(), "--drain-duration") == options.more.end())
    argv.insert(argv.end(), {"--drain-duration", "0s"});
  argv.insert(argv.end(), options.more.begin(), options.more.end());
  std::map<std::string, std::string> env{
      {"POD_NAME", name},
      {"POD_NAMESPACE", options.ns},
      {"INSTANCE_IP", pod.v4.to_string()}};  // one address, as the injector sets it
  for (const auto& [variable, value] : options.env) env[variable] = value;
  auto process = Process::start(
      {.argv = std::move(argv), .netns = &pod.netns, .env = std::move(env), .output = dir_.file("stdout")});
  must(process.has_value(), "starting the agent");
  process_ = std::move(*process);
}

void Agent::wait(const std::string& name, const AgentOptions& options) {
  const bool there = eventually(
      [&] {
        if (!process_.running()) return true;
        const int status = readiness().first;
        return status == 200 || (!options.ready && status != 0);
      },
      std::chrono::seconds(20));
  must(there && process_.running(), "the agent of " + name + " does not become ready:\n" + errors());
}

std::pair<int, std::string> Agent::readiness() const {
  const auto response = http_get(pod_.netns, {IpAddress::loopback(false), 15021}, "/healthz/ready");
  return response ? std::pair(response->status, response->body) : std::pair(0, std::string());
}

nlohmann::json Agent::ctl(const std::string& command) const {
  std::vector<std::string> argv{built_program("sockmeshctl"), "--run-dir", run_dir_};
  for (const std::string_view word : split(command, ' ', true)) argv.emplace_back(word);
  argv.insert(argv.end(), {"-o", "json"});
  return nlohmann::json::parse(must_run(argv));
}

std::vector<AccessLine> Agent::log() const { return read_access_log(read_text(dir_.file("stdout"))); }

std::string Agent::errors() const { return read_text(dir_.file("stderr")); }

std::string Agent::metrics() const {
  const auto response = http_get(pod_.netns, {IpAddress::loopback(false), 15090}, "/stats/prometheus");
  must(response && response->status == 200, "GET /stats/prometheus");
  return response->body;
}

size_t Agent::open_flows() const { return ctl("flows")["total"].get<size_t>(); }

size_t Agent::descriptors() const {
  const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", process_.pid()));
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

uint64_t Agent::status_bytes(const std::string& field) const {
  const std::string status = read_text(fmt::format("/proc/{}/status", process_.pid()));
  for (const std::string_view line : split(status, '\n')) {
    if (!line.starts_with(field + ":")) continue;
    const auto words = split(trim(line.substr(field.size() + 1)), ' ', true);
    return words.empty() ? 0 : parse_number<uint64_t>(words[0]).value_or(0) * 1024;
  }
  return 0;
}

uint64_t Agent::resident() const { return status_bytes("VmRSS"); }

Mesh::Mesh() {
  name("localhost", "127.0.0.1");
  apply("mesh-config.yaml", mesh_config());
}

void Mesh::apply(const std::string& file, const std::string& manifests) { config_.write(file, manifests); }

void Mesh::apply_file(const std::string& path) {
  apply(std::filesystem::path(path).filename().string(), read_text(source_file(path)));
}

void Mesh::remove(const std::string& file) { std::filesystem::remove(config_.file(file)); }

void Mesh::name(const std::string& host, const std::string& address) {
  // In place: pods have bound the file itself.
  const std::string path = names_.file("hosts");
  must(must_run({"sh", "-c", fmt::format("echo '{} {}' >> {}", address, host, path)}).empty(), "hosts");
}

void Mesh::rules(Pod& pod, const AgentOptions& options) {
  std::vector<std::string> argv{"env", "ISTIO_DUAL_STACK=true", built_program("sockmesh-init")};
  argv.insert(argv.end(), {"-p", "15001", "-z", "15006", "-u", options.exempt, "-g", options.exempt, "-m",
                           options.interception, "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"});
  if (!options.direct_mark.empty()) argv.insert(argv.end(), {"--direct-mark", options.direct_mark});
  must_run(argv, &pod.netns);
}

Agent& Mesh::sidecar(Pod& pod, const std::string& name, AgentOptions options) {
  rules(pod, options);
  return agent(pod, name, std::move(options));
}

Agent& Mesh::gateway(Pod& pod, const std::string& name, AgentOptions options) {
  options.role = "gateway";
  return agent(pod, name, std::move(options));
}

Agent& Mesh::agent(Pod& pod, const std::string& name, AgentOptions options) {
  agents_.push_back(std::make_unique<Agent>(pod, name, config_.path(), names_.file("hosts"), options));
  agents_.back()->wait(name, options);
  return *agents_.back();
}

std::pair<int, std::string> Mesh::refused_agent(Pod& pod, const std::string& name, AgentOptions options) {
  Agent agent(pod, name, config_.path(), names_.file("hosts"), options);
  const auto status = agent.process().wait();
  return {status.value_or(-1), agent.errors()};
}

void Mesh::echo(const Netns& at, uint16_t port, const std::string& prefix, const std::string& welcome) {
  auto server = Process::start(
      {.argv = {built_program("sm-echo"), std::to_string(port), prefix, welcome}, .netns = &at});
  must(server.has_value(), "starting sm-echo");
  must(eventually([&] { return server->output().find("listening") != std::string::npos; }),
       "sm-echo listens");
  applications_.push_back(std::move(*server));
}

std::string Mesh::ask(Pod& from, const SocketAddress& to, const std::string& line) {
  return exchange_line(from, to, line + "\n");
}

std::string Mesh::listen(Pod& from, const SocketAddress& to) { return exchange_line(from, to, ""); }

std::string mesh_config(const std::string& more) {
  std::string text =
      "apiVersion: v1\n"
      "kind: ConfigMap\n"
      "metadata: {name: istio, namespace: istio-system}\n"
      "data:\n"
      "  mesh: |-\n"
      "    accessLogFile: /dev/stdout\n";
  for (const std::string_view line : split(more, '\n', true)) text += "    " + std::string(line) + "\n";
  return text;
}

std::string source_file(const std::string& path) { return SOCKMESH_SOURCE_DIR "/" + path; }

}  // namespace sockmesh::test

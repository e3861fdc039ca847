#include "admin/admin_server.h"

#include <algorithm>
#include <map>

#include "admin/api.h"
#include "admin/http_server.h"

namespace sockmesh::admin {

struct AdminServer::Impl {
  Impl(Sources sources, AppMetrics app) : api(std::move(sources), std::move(app)) {}

  HttpServer::Handler handler(Door door) {
    return [this, door](const Request& request) { return api.handle(door, request); };
  }

  const Api api;
  std::vector<std::string> warnings;
  // A scrape or a dump that fills the first pool must not make the pod unready.
  AnswerPool answers{2}, readiness_answers{1};
  std::vector<std::unique_ptr<HttpServer>> servers;
  std::map<uint16_t, uint16_t> ports;  // standard -> in use
};

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() { stop(); }

Result<std::unique_ptr<AdminServer>> AdminServer::start(AdminOptions options, Sources sources) {
  AppMetrics app;
  std::vector<std::string> warnings;
  if (const auto scrape = parse_app_scrape(options.app_annotations); !scrape)
    warnings.push_back(scrape.error().message);
  else if (*scrape)
    app = AppMetrics(**scrape);
  auto impl = std::make_unique<Impl>(std::move(sources), std::move(app));
  impl->warnings = std::move(warnings);

  if (!options.socket_path.empty()) {
    SOCKMESH_TRY(server, HttpServer::unix_socket(options.socket_path, options.socket_owner, impl->answers,
                                                 impl->handler(Door::kSocket)));
    impl->servers.push_back(std::move(server));
  }

  struct Listen {
    uint16_t standard;
    std::optional<uint16_t> port;
    std::string address;
    Door door;
    bool required;
  };
  const Listen listens[] = {
      {15021, options.readiness_port, options.any_address, Door::kReadiness, true},
      {15020, options.status_port, options.any_address, Door::kStatus, false},
      {15090, options.metrics_port, options.any_address, Door::kMetrics, false},
      {15000, options.admin_port, "127.0.0.1", Door::kAdmin, false},
  };
  for (const Listen& listen : listens) {
    if (!listen.port) continue;
    AnswerPool& pool = listen.door == Door::kReadiness ? impl->readiness_answers : impl->answers;
    auto server = HttpServer::tcp(listen.address, *listen.port, pool, impl->handler(listen.door));
    if (!server && listen.required) return fail(std::move(server).error());
    if (!server) {
      impl->warnings.push_back(server.error().message);
      continue;
    }
    impl->ports[listen.standard] = (*server)->port();
    impl->servers.push_back(std::move(*server));
  }
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

void AdminServer::stop() {
  for (const auto& server : impl_->servers) server->stop();
  impl_->answers.stop();
  impl_->readiness_answers.stop();
  impl_->servers.clear();
}

const std::vector<std::string>& AdminServer::warnings() const { return impl_->warnings; }

uint16_t AdminServer::port(uint16_t standard) const {
  const auto found = impl_->ports.find(standard);
  return found == impl_->ports.end() ? 0 : found->second;
}

}  // namespace sockmesh::admin

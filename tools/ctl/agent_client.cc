#include "ctl/agent_client.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"

namespace sockmesh::ctl {

namespace {

// Whether someone answers, and else what a person should look at.
Result<void> check_socket(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path)
    return fail("{}: the path has {} bytes, a socket's has at most {}", path, path.size(),
                sizeof name.sun_path - 1);
  path.copy(name.sun_path, path.size());
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) return {};
  switch (errno) {
    case ENOENT:
      return fail("no agent at {}: is sockmesh-agent running, and with this --run-dir?", path);
    case ECONNREFUSED:
      return fail("no agent at {}: the socket is there, but whoever made it is gone", path);
    case EACCES:
      return fail("{}: permission denied; it is for root, and for the group of the agent", path);
    default:
      return fail(os_error("connecting to " + path));
  }
}

}  // namespace

Result<HttpReply> ask_agent(const std::string& run_dir, const std::string& method,
                            const std::string& target) {
  const std::string path = run_dir + "/admin.sock";
  SOCKMESH_CHECK(check_socket(path));
  httplib::Client client(path);
  client.set_address_family(AF_UNIX);
  client.set_read_timeout(10);
  client.set_default_headers({{"Host", "localhost"}});
  const auto reply = method == "POST" ? client.Post(target) : client.Get(target);
  if (!reply) return fail("the agent at {} did not answer: {}", path, httplib::to_string(reply.error()));
  return HttpReply{reply->status, reply->body};
}

}  // namespace sockmesh::ctl

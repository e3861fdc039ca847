#include "test_support/http.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>

#include "base/strings.h"
#include "test_support/eventually.h"

namespace sockmesh::test {
namespace {

timeval patience() { return {patient(std::chrono::seconds(10)).count() / 1000, 0}; }

Result<std::string> ask(const SocketAddress& server, const std::string& request) {
  const Fd fd(socket(server.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit = patience();
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_storage storage{};
  const socklen_t length = server.to_sockaddr(storage);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    return fail(os_error("connect " + server.to_string()));
  }
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return fail(os_error("send"));
  std::string answer;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = recv(fd.get(), buffer, sizeof buffer, 0)) > 0)
    answer.append(buffer, static_cast<size_t>(got));
  if (got < 0) return fail(os_error("recv"));
  return answer;
}

// name{a="x",b="y"} 12: whether all of `labels` are in it. Values in tests hold no escapes.
bool has_labels(std::string_view sample, const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : labels) {
    const std::string text = fmt::format("{}=\"{}\"", key, value);
    if (sample.find("{" + text) == std::string_view::npos &&
        sample.find("," + text) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<HttpResponse> http_get(const Netns& netns, const SocketAddress& server, const std::string& path) {
  Result<std::string> answer = fail("not asked");
  netns.run([&] {
    answer = ask(server, fmt::format("GET {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path));
  });
  if (!answer) return fail(std::move(answer).error());
  const size_t head = answer->find("\r\n\r\n");
  const auto words = split(std::string_view(*answer).substr(0, answer->find("\r\n")), ' ');
  const auto status = words.size() > 1 ? parse_number<int>(words[1]) : std::nullopt;
  if (head == std::string::npos || !status)
    return fail("'{}': expected an HTTP response", answer->substr(0, 80));
  return HttpResponse{*status, answer->substr(head + 4)};
}

double metric(const std::string& text, const std::string& name,
              const std::map<std::string, std::string>& labels) {
  double sum = 0;
  for (const std::string_view line : split(text, '\n', true)) {
    if (!line.starts_with(name) || line.size() <= name.size()) continue;
    const char after = line[name.size()];
    if ((after != ' ' && after != '{') || !has_labels(line, labels)) continue;
    sum += std::atof(std::string(line.substr(line.rfind(' ') + 1)).c_str());
  }
  return sum;
}

}  // namespace sockmesh::test

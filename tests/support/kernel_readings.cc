// The calls as the linker sees them: --wrap=ioctl leads "ioctl" to "__wrap_ioctl" and "__real_ioctl" to
// ioctl.
#include "test_support/kernel_readings.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdarg>
#include <optional>
#include <utility>

namespace sockmesh::test {
namespace {

struct Event {
  Reading before;
  std::function<void()> happens;
};
thread_local std::optional<Event> next;

void about_to_read(Reading reading) {
  if (!next || next->before != reading) return;
  const Event event = *std::exchange(next, std::nullopt);
  event.happens();
}

}  // namespace

void before_next(Reading reading, std::function<void()> event) { next = Event{reading, std::move(event)}; }
bool event_waits() { return next.has_value(); }

}  // namespace sockmesh::test

using sockmesh::test::Reading;

extern "C" {
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_getsockopt(int fd, int level, int option, void* value, socklen_t* size);
int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* size);

int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == SIOCOUTQ) sockmesh::test::about_to_read(Reading::kSendQueue);
  return __real_ioctl(fd, request, argument);
}

int __wrap_getsockopt(int fd, int level, int option, void* value, socklen_t* size) {
  if (level == IPPROTO_TCP && option == TCP_INFO) sockmesh::test::about_to_read(Reading::kTcpInfo);
  return __real_getsockopt(fd, level, option, value, size);
}
}

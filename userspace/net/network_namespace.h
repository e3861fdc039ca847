// NetworkNamespace: where a pod's sockets are made. A socket belongs to the namespace that its maker's thread
// was in, and stays there, whichever thread uses it; so a process that serves several pods makes each socket
// in the namespace of its pod, and needs nothing else of it.
//
// The default value is the namespace that the process was started in: entering it does nothing, not even from
// inside of another one, and no privilege is needed. Entering another one takes CAP_SYS_ADMIN, in the initial
// user namespace or in those of both.
//
// A value: copies share one descriptor. Any thread; what enters, enters with the calling thread alone.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::net {

class NetworkNamespace {
 public:
  NetworkNamespace() = default;
  // "/run/netns/a", "/proc/4711/ns/net". It lives as long as the value does, whoever else leaves it.
  static Result<NetworkNamespace> open(const std::string& path);

  // The calling thread is in it until this goes; then it is at home again. Ends the process when it cannot
  // get back, which the kernel has no reason to refuse: every socket made from there on would be another
  // pod's.
  class Inside {
   public:
    Inside(Inside&& other) noexcept : back_(std::exchange(other.back_, false)) {}
    Inside& operator=(Inside&&) = delete;
    ~Inside();

   private:
    friend class NetworkNamespace;
    explicit Inside(bool back) : back_(back) {}
    bool back_;  // false: it never left
  };
  Result<Inside> enter() const;

  // socket(2), non-blocking and closed on exec. An error's os_error is errno.
  Result<Fd> socket(int family, int type) const;

 private:
  explicit NetworkNamespace(Fd fd) : fd_(std::make_shared<const Fd>(std::move(fd))) {}
  std::shared_ptr<const Fd> fd_;  // null: that of the process
};

}  // namespace sockmesh::net

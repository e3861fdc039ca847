#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace sockmesh {

Error Error::within(std::string_view doing) const& {
  return Error{fmt::format("{}: {}", doing, message), os_error};
}

Error os_error(std::string_view what, int err) {
  return Error{fmt::format("{}: {}", what, std::generic_category().message(err)), err};
}
Error os_error(std::string_view what) { return os_error(what, errno); }

}  // namespace sockmesh

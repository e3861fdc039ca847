// Error: why something could not be done, as a value. Errors name the thing, quote the bad value and say what
// was expected ("--proxy-uid '13x7': expected a comma list of numbers"). Plain data, any thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace sockmesh {

struct Error {
  std::string message;
  int os_error = 0;  // errno where the kernel said no, else 0; callers branch on it, people read `message`

  // The same error with what was being done in front: "reading /etc/x: permission denied".
  Error within(std::string_view doing) const&;
};

// An Error from a format string.
template <typename... Args>
Error errorf(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}

// The one spot where errno becomes an Error. `what` says what was tried: "bind 0.0.0.0:15001".
Error os_error(std::string_view what, int err);
Error os_error(std::string_view what);  // of the current errno

}  // namespace sockmesh

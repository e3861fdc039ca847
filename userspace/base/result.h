// Result<T>: a T or an Error. A local name for the expected type, so that moving to std::expected is one
// edit.
//
//   Result<Fd> open_it(...) { if (bad) return fail("...: '{}'", value); return fd; }
//   auto fd = open_it(); if (!fd) return std::move(fd).error();       // pass on
//   SOCKMESH_TRY(fd, open_it());                                      // the same, as one line
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace sockmesh {

template <typename T>
using Result = tl::expected<T, Error>;

template <typename... Args>
tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(errorf(format, std::forward<Args>(args)...));
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace sockmesh

#define SOCKMESH_CONCAT_(a, b) a##b
#define SOCKMESH_CONCAT(a, b) SOCKMESH_CONCAT_(a, b)
// Declares `var` from a Result, or returns its error from the enclosing function.
#define SOCKMESH_TRY(var, expression) SOCKMESH_TRY_(var, expression, SOCKMESH_CONCAT(result_, __LINE__))
#define SOCKMESH_TRY_(var, expression, result)                     \
  auto result = (expression);                                      \
  if (!result) return ::sockmesh::fail(std::move(result).error()); \
  auto var = std::move(result).value()
// The same for Result<void>.
#define SOCKMESH_CHECK(expression)                                                                     \
  do {                                                                                                 \
    if (auto checked_ = (expression); !checked_) return ::sockmesh::fail(std::move(checked_).error()); \
  } while (0)

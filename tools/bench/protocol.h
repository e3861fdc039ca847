// What the load generator's client tells its server in the first bytes of a connection. One machine, native
// byte order. Plain data.
#pragma once

#include <cstdint>

namespace sockmesh::bench {

enum class Kind : uint32_t {
  kExchange,  // each `size` bytes that come in are answered by as many
  kUpload,    // everything is read and counted; after the FIN the count goes back (8 bytes)
  kDownload,  // sends pieces of `size` bytes until the client has enough and closes
};

struct Greeting {
  Kind kind;
  uint32_t size;  // bytes
};
static_assert(sizeof(Greeting) == 8);

}  // namespace sockmesh::bench

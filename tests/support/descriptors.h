// How many descriptors a test may have: machines allow 1024 unless they are asked for more.
#pragma once

#include <cstddef>

namespace sockmesh::test {

// This process, and those that it starts from now on. Needs root above the hard limit.
void allow_descriptors(size_t count);

}  // namespace sockmesh::test

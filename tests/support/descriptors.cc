#include "test_support/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <stdexcept>

namespace sockmesh::test {

void allow_descriptors(size_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, count);
  limit.rlim_max = std::max<rlim_t>(limit.rlim_max, count);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("the limit of descriptors stays low");
}

}  // namespace sockmesh::test

#include "server/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

namespace sockmesh::server {

std::vector<MemoryRange> pure_file_ranges(std::istream& smaps) {
  std::vector<MemoryRange> ranges;
  MemoryRange range;
  bool candidate = false;
  for (std::string line; std::getline(smaps, line);) {
    // "7f..-7f.. r-xp 00026000 08:01 1234   /usr/lib/libc.so.6", then "Anonymous:  0 kB" among other lines.
    char permissions[5] = {};
    uint64_t begin = 0, end = 0, kilobytes = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &begin, &end, permissions) == 3) {
      range = {begin, end};
      candidate = permissions[1] == '-' && permissions[3] == 'p' && line.find(" /") != std::string::npos;
    } else if (candidate && std::sscanf(line.c_str(), "Anonymous: %" SCNu64, &kilobytes) == 1) {
      if (kilobytes == 0) ranges.push_back(range);
    }
  }
  return ranges;
}

size_t free_heap_bytes() { return mallinfo2().fordblks; }

void give_back_free_heap() { malloc_trim(0); }

void give_back_memory() {
  give_back_free_heap();
  std::ifstream smaps("/proc/self/smaps");
  for (const MemoryRange& range : pure_file_ranges(smaps))
    madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_DONTNEED);
}

}  // namespace sockmesh::server

// Memory: gives back what starting, compiling and past flows needed and running does not, so that the idle
// agent stays below 10 MB resident. Main thread; the others may run meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <vector>

namespace sockmesh::server {

struct MemoryRange {
  uintptr_t begin = 0, end = 0;
};

// Mappings of /proc/self/smaps that are nothing but file contents: private, not writable, no page of their
// own (relocated data has such pages, and would lose them).
std::vector<MemoryRange> pure_file_ranges(std::istream& smaps);

// Returns free heap to the kernel and unmaps the pages of program and libraries that only start-up ran
// through (some ten MB, most of it the initialization of libraries). What is used again comes back from the
// page cache.
void give_back_memory();

// Freed memory that the process still has, and its return to the kernel; flows that are open do not notice.
size_t free_heap_bytes();
void give_back_free_heap();

}  // namespace sockmesh::server

// What tests of BPF programs on a pod's cgroup need: a cgroup v2 folder, and a BPF file system. Gone with the
// objects; what killed test processes left is removed by the next. Need root. Not thread-safe.
#pragma once

#include <string>

namespace sockmesh::test {

// A cgroup v2 folder below the root's.
class Cgroup {
 public:
  Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  ~Cgroup();  // this process leaves it; others that are in it are killed

  const std::string& path() const { return path_; }
  void enter() const;  // the whole process
  static void leave();

 private:
  std::string path_;
};

// A BPF file system of its own.
class BpfFolder {
 public:
  BpfFolder();
  BpfFolder(const BpfFolder&) = delete;
  BpfFolder& operator=(const BpfFolder&) = delete;
  ~BpfFolder();
  std::string pod() const { return path_ + "/pod"; }  // not made yet

 private:
  std::string path_;
};

}  // namespace sockmesh::test

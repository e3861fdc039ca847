// FolderWatch: says when something below a folder may have changed, by inotify. Which folders there are is
// told anew at every scan (begin_scan, add..., end_scan); the way to the folder is watched too, so that it
// may be removed, renamed, made again, or be a link that is swapped. One thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::config {

class FolderWatch {
 public:
  static Result<FolderWatch> open(std::string folder);

  int fd() const { return inotify_.get(); }  // readable when something happened
  // Takes what happened; true when it concerns the folder.
  bool drain();

  void begin_scan();
  void add(const std::string& folder);
  // Forgets the folders that were not added again. What could not be watched (a limit of the kernel), or "".
  std::string end_scan();

 private:
  explicit FolderWatch(Fd inotify, std::string folder)
      : inotify_(std::move(inotify)), folder_(std::move(folder)) {}
  void watch(const std::string& path, std::string only);

  Fd inotify_;
  std::string folder_;
  // By watch descriptor: "" when everything in that folder counts, else the one name that does.
  std::map<int, std::string> watches_;
  std::set<int> wanted_;
  std::string error_;
};

}  // namespace sockmesh::config

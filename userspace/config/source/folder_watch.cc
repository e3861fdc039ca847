#include "config/source/folder_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace fs = std::filesystem;

namespace sockmesh::config {

namespace {

// Not IN_MODIFY: a file being written is looked at when its writer closes it.
constexpr uint32_t kEvents = IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |
                             IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr size_t kMaxWatches = 4096;

}  // namespace

Result<FolderWatch> FolderWatch::open(std::string folder) {
  Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail(os_error("inotify_init1"));
  return FolderWatch(std::move(inotify), std::move(folder));
}

bool FolderWatch::drain() {
  alignas(inotify_event) char buffer[16 * 1024];
  bool relevant = false;
  while (true) {
    const ssize_t length = read(inotify_.get(), buffer, sizeof buffer);
    if (length <= 0) return relevant;  // EAGAIN: all taken
    for (ssize_t at = 0; at < length;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->mask & IN_Q_OVERFLOW) {
        relevant = true;
        continue;
      }
      const auto found = watches_.find(event->wd);
      if (found == watches_.end()) continue;
      const std::string_view name(event->name, event->len ? strnlen(event->name, event->len) : 0);
      if (found->second.empty() || name.empty() || name == found->second) relevant = true;
      if (event->mask & IN_IGNORED) watches_.erase(found);
    }
  }
}

void FolderWatch::begin_scan() {
  wanted_.clear();
  error_.clear();
  // The nearest existing folder above; in it only the name that leads down to ours.
  std::error_code error;
  fs::path path = fs::absolute(folder_, error).lexically_normal();
  if (error) return;  // a relative path, and the working directory is gone
  if (!path.has_filename()) path = path.parent_path();
  for (; path.has_relative_path(); path = path.parent_path()) {
    watch(path.parent_path(), path.filename());
    if (fs::is_directory(path.parent_path(), error)) break;
  }
}

void FolderWatch::add(const std::string& folder) { watch(folder, ""); }

void FolderWatch::watch(const std::string& path, std::string only) {
  if (watches_.size() >= kMaxWatches) {
    error_ = fmt::format("{}: not watched, expected at most {} folders", path, kMaxWatches);
    return;
  }
  const int descriptor = inotify_add_watch(inotify_.get(), path.c_str(), kEvents);
  if (descriptor < 0) {
    // Not there (any more): the folder above tells when that changes.
    if (errno == ENOSPC || errno == ENOMEM) error_ = os_error(fmt::format("watching {}", path)).message;
    return;
  }
  const bool fresh = wanted_.insert(descriptor).second;
  std::string& name = watches_[descriptor];
  name = fresh ? std::move(only) : (name == only ? name : "");  // one folder, wanted twice
}

std::string FolderWatch::end_scan() {
  std::erase_if(watches_, [&](const auto& watch) {
    if (wanted_.contains(watch.first)) return false;
    inotify_rm_watch(inotify_.get(), watch.first);
    return true;
  });
  return error_;
}

}  // namespace sockmesh::config

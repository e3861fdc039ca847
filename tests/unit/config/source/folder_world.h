// A real folder for tests of its source, and what was loaded of it as short text.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "config/source/folder.h"

namespace sockmesh::config {

namespace fs = std::filesystem;

inline std::string service(const std::string& name, const std::string& ip = "10.96.0.1") {
  return fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{clusterIP: {}}}\n---\n",
                     name, ip);
}

class Folder {
 public:
  Folder() {
    char path[] = "/tmp/sockmesh-folder-XXXXXX";
    base_ = mkdtemp(path);
    root_ = base_ / "config";
    fs::create_directory(root_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  fs::path operator/(const std::string& name) const { return root_ / name; }
  const fs::path& root() const { return root_; }
  const fs::path& base() const { return base_; }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::trunc) << text;
  }

 private:
  fs::path base_, root_;
};

inline std::string names(const FolderSource::Loaded& loaded) {
  std::vector<std::string> out;
  for (const auto& service : loaded.resources.services) out.push_back(service->meta.name);
  std::sort(out.begin(), out.end());
  return fmt::format("{}", fmt::join(out, " "));
}

inline std::string problems(const FolderSource::Loaded& loaded) {
  std::string out;
  for (const ReadProblem& problem : loaded.problems) out += problem.to_string() + "\n";
  return out;
}

inline bool readable(const FolderSource& source, int timeout_ms) {
  pollfd watch{source.watch_fd(), POLLIN, 0};
  return poll(&watch, 1, timeout_ms) == 1;
}

// Waits until what is loaded satisfies `done`.
template <typename Done>
FolderSource::Loaded await(FolderSource& source, const Done& done) {
  FolderSource::Loaded loaded;
  do {
    INFO("last seen: " << names(loaded) << "\n" << problems(loaded));
    REQUIRE(readable(source, 10'000));
    loaded = source.load();
  } while (!done(loaded));
  return loaded;
}
inline FolderSource::Loaded await_names(FolderSource& source, const std::string& expected) {
  return await(source, [&](const auto& loaded) { return names(loaded) == expected; });
}

struct Opened {
  explicit Opened(const Folder& folder, size_t kept_objects = kKeptObjects)
      : source(std::move(FolderSource::open(folder.root(), kept_objects).value())) {
    first = source->load();
  }
  std::unique_ptr<FolderSource> source;
  FolderSource::Loaded first;
};

}  // namespace sockmesh::config

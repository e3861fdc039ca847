#include "test_support/temp_dir.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace sockmesh::test {

std::string temporary(std::string_view name) {
  const char* folder = std::getenv("TMPDIR");
  return (folder && *folder ? std::string(folder) : "/tmp") + "/" + std::string(name);
}

TempDir::TempDir() : path_(temporary("sockmesh-test-XXXXXX")) {
  if (!mkdtemp(path_.data())) throw std::runtime_error("mkdtemp " + path_);
  chmod(path_.c_str(), 0755);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::make_folder(std::string_view name) const {
  const std::string folder = file(name);
  std::filesystem::create_directories(folder);
  return folder;
}

void TempDir::write(std::string_view name, std::string_view text) const {
  const std::string target = file(name);
  const std::string fresh = path_ + "/.new";
  std::ofstream(fresh, std::ios::trunc) << text;
  std::filesystem::rename(fresh, target);
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace sockmesh::test

#include "telemetry/access_log.h"

#include <spdlog/spdlog.h>

#include <thread>

namespace sockmesh::telemetry {

AccessLog::AccessLog() = default;
AccessLog::~AccessLog() = default;

std::shared_ptr<const AccessLog::Target> AccessLog::target() const {
  const Lock lock(mutex_);
  return target_;
}

Result<std::vector<std::string>> AccessLog::configure(const model::MeshSettings& mesh) {
  std::vector<std::string> warnings;
  const auto old = target();
  if (old && old->path == mesh.access_log_file && old->format_text == mesh.access_log_format &&
      old->encoding == mesh.access_log_encoding && old->compatibility == mesh.compatibility_version)
    return warnings;

  std::shared_ptr<Target> fresh;
  if (!mesh.access_log_file.empty()) {
    auto file = old && old->path == mesh.access_log_file ? old->file : nullptr;
    if (!file) {
      SOCKMESH_TRY(opened, LogFile::open(mesh.access_log_file));
      file = std::move(opened);
    }
    fresh = std::make_shared<Target>(Target{LogFormat::of(mesh, warnings), file, mesh.access_log_file,
                                            mesh.access_log_format, mesh.compatibility_version,
                                            mesh.access_log_encoding});
  }
  {
    const Lock lock(mutex_);
    if (target_ && (!fresh || fresh->file != target_->file))
      dropped_by_former_files_ += target_->file->dropped();
    target_ = std::move(fresh);
  }
  // A worker may be in the middle of append(): the former file must not be closed, which waits for its
  // writer, in that worker's thread. It lets go within microseconds.
  while (old && old.use_count() > 1) std::this_thread::yield();
  for (const std::string& warning : warnings) spdlog::warn("{}", warning);
  return warnings;
}

void AccessLog::append(const ConnectionRecord& record) {
  const auto target = this->target();
  if (!target) return;
  std::string line;
  line.reserve(512);
  target->format.append_line(line, record);
  lines_.fetch_add(1, std::memory_order_relaxed);
  target->file->append(line);
}

void AccessLog::reopen() {
  if (const auto target = this->target()) target->file->reopen();
}

bool AccessLog::flush(Duration deadline) {
  const auto target = this->target();
  return !target || target->file->flush(deadline);
}

uint64_t AccessLog::lines() const { return lines_.load(std::memory_order_relaxed); }

uint64_t AccessLog::dropped() const {
  const Lock lock(mutex_);
  return dropped_by_former_files_ + (target_ ? target_->file->dropped() : 0);
}

}  // namespace sockmesh::telemetry

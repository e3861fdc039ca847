#include "admin/executor.h"

#include <algorithm>

namespace sockmesh::admin {

Executor::Executor(event::Loop& loop, size_t max_waiting)
    : loop_(loop), max_waiting_(max_waiting), thread_([this] { run(); }) {}

Executor::~Executor() { stop(); }

bool Executor::submit(const std::string& key, bool urgent, Make make, Done done) {
  {
    const Lock lock(mutex_);
    if (stopped_) return false;
    const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& job) {
      return !key.empty() && job->key == key && job->urgent == urgent;
    });
    if (same != waiting_.end()) {
      (*same)->done.push_back(std::move(done));
      return true;
    }
    if (waiting_.size() >= max_waiting_) return false;
    auto job = std::make_shared<Job>(Job{key, urgent, std::move(make), {}});
    job->done.push_back(std::move(done));
    const auto behind_its_kind = std::find_if(waiting_.begin(), waiting_.end(),
                                              [&](const auto& other) { return urgent && !other->urgent; });
    waiting_.insert(behind_its_kind, std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Executor::stop() {
  {
    const Lock lock(mutex_);
    stopped_ = true;
    waiting_.clear();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Executor::run() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      Lock lock(mutex_);
      while (!stopped_ && waiting_.empty()) changed_.wait(lock);
      if (stopped_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    auto response = std::make_shared<const http::Response>(job->make());
    loop_.post([job, response] {
      for (const Done& done : job->done) done(*response);
    });
  }
}

}  // namespace sockmesh::admin

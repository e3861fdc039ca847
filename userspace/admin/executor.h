// Executor: a thread that makes the answers which take time (a dump, a scrape, what asks the workers), so
// that the loop of the admin server never does. Work waits in a queue of bounded length; equal requests that
// wait share one answer. submit(): loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "event/loop.h"
#include "http/message.h"

namespace sockmesh::admin {

class Executor {
 public:
  using Make = std::function<http::Response()>;
  using Done = std::function<void(const http::Response&)>;

  // `loop` outlives it. At most `max_waiting` different answers wait; one is being made.
  Executor(event::Loop& loop, size_t max_waiting);
  ~Executor();  // stop()

  // `make` runs in the executor's thread, `done` with what it made in the loop's. While an answer of the same
  // `key` still waits to be made, its answer serves for this one too ("" never does). `urgent` goes before
  // what is not. False: too much waits.
  bool submit(const std::string& key, bool urgent, Make make, Done done);

  // Forgets what waits, lets what is being made end, and makes nothing more; idempotent.
  void stop();

 private:
  struct Job {
    std::string key;
    bool urgent = false;
    Make make;
    std::vector<Done> done;
  };

  void run();

  event::Loop& loop_;
  const size_t max_waiting_;
  Mutex mutex_;
  Condition changed_;
  std::deque<std::shared_ptr<Job>> waiting_ SOCKMESH_GUARDED_BY(mutex_);
  bool stopped_ SOCKMESH_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sockmesh::admin

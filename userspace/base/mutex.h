// Mutex, Lock, Condition: the standard ones, in words that clang's thread-safety analysis understands. A
// member marked SOCKMESH_GUARDED_BY is touched only by who holds the mutex, a function marked
// SOCKMESH_REQUIRES is called only by who does: builds with clang fail otherwise (-Wthread-safety). To g++
// the marks are nothing. Lambdas are functions of their own to the analysis: wait in a loop, not with a
// predicate.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define SOCKMESH_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define SOCKMESH_THREAD_SAFETY(attribute)
#endif

#define SOCKMESH_GUARDED_BY(mutex) SOCKMESH_THREAD_SAFETY(guarded_by(mutex))
#define SOCKMESH_REQUIRES(mutex) SOCKMESH_THREAD_SAFETY(requires_capability(mutex))
// For what is right for a reason that the analysis cannot know: say it.
#define SOCKMESH_UNCHECKED_LOCKING SOCKMESH_THREAD_SAFETY(no_thread_safety_analysis)

namespace sockmesh {

class SOCKMESH_THREAD_SAFETY(capability("mutex")) Mutex {
 private:
  friend class Lock;
  std::mutex mutex_;
};

// Holds a mutex as long as it lives, but between unlock() and lock().
class SOCKMESH_THREAD_SAFETY(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) SOCKMESH_THREAD_SAFETY(acquire_capability(mutex)) : lock_(mutex.mutex_) {}
  ~Lock() SOCKMESH_THREAD_SAFETY(release_capability()) = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() SOCKMESH_THREAD_SAFETY(acquire_capability()) { lock_.lock(); }
  void unlock() SOCKMESH_THREAD_SAFETY(release_capability()) { lock_.unlock(); }

 private:
  friend class Condition;
  std::unique_lock<std::mutex> lock_;
};

class Condition {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }
  // The lock is held again when these return, which they may do for no reason.
  void wait(Lock& lock) { condition_.wait(lock.lock_); }
  // False: the time has come.
  bool wait_until(Lock& lock, std::chrono::steady_clock::time_point deadline) {
    return condition_.wait_until(lock.lock_, deadline) == std::cv_status::no_timeout;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace sockmesh

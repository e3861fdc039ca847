#include "server/worker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

namespace sockmesh::server {

namespace {

Result<std::unique_ptr<event::Loop>> make_loop(datapath::Mode mode, unsigned index) {
  if (mode != datapath::Mode::kEpoll) {
    auto loop = event::Loop::create(event::Backend::kIoUring);
    if (loop) return loop;
    if (index == 0) spdlog::info("io_uring is not to be had, epoll is used: {}", loop.error().message);
  }
  return event::Loop::create(event::Backend::kEpoll);
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(unsigned index, const WorkerShared& shared) {
  SOCKMESH_TRY(loop, make_loop(shared.data_path, index));
  return std::unique_ptr<Worker>(new Worker(index, std::move(loop), shared));
}

Worker::Worker(unsigned index, std::unique_ptr<event::Loop> loop, const WorkerShared& shared)
    : index_(index),
      shared_(shared),
      loop_(std::move(loop)),
      data_path_(
          datapath::DataPath::create(*loop_, shared.data_path, shared.splice, shared.splice_unavailable)) {}

Worker::~Worker() {
  loop_->stop();
  if (thread_.joinable()) thread_.join();
}

PodTraffic& Worker::carry(pod::PodPtr pod, uint16_t number) {
  shares_.push_back(std::make_unique<PodTraffic>(
      std::move(pod), number, PodTraffic::Carrier{*loop_, *data_path_, shared_.limit, shared_.access_log}));
  return *shares_.back();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  pthread_setname_np(pthread_self(), fmt::format("worker-{}", index_).c_str());
  loop_->run();
  for (const auto& share : shares_) share->end();  // in this thread, whose loop it belongs to
}

size_t Worker::active() const {
  size_t sum = 0;
  for (const auto& share : shares_) sum += share->active();
  return sum;
}

}  // namespace sockmesh::server

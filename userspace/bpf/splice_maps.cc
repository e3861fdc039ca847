// Slots are claimed by writing the cookie into the record itself, so that user space keeps no table of its
// own.
#include "bpf/splice_maps.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace sockmesh::bpf {

namespace {

// Events are 16 bytes with their header: 1024 of them. More in a single turn of the loop set the `lost` mark.
constexpr uint32_t kRingBytes = 16384;

size_t page_rounded(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

}  // namespace

SpliceMaps::SpliceMaps(SpliceProgram program, const Options& options)
    : options_(options), program_(std::move(program)) {}

SpliceMaps::~SpliceMaps() {
  // Sockets that are not closed yet keep the program: from here on they PASS.
  program_.control()->enabled = 0;
  if (records_) munmap(records_, page_rounded(options_.slots * sizeof(splice_direction)));
}

Result<std::unique_ptr<SpliceMaps>> SpliceMaps::load(const Options& options) {
  if (!std::has_single_bit(options.slots) || options.slots < SPLICE_WAYS)
    return fail("splice slots {}: expected a power of two, {} or more", options.slots, SPLICE_WAYS);
  if (options.rings > SPLICE_MAX_RINGS)
    return fail("splice rings {}: expected {} at most", options.rings, SPLICE_MAX_RINGS);
  SOCKMESH_TRY(program, SpliceProgram::load(options.slots, options.stall));
  std::unique_ptr<SpliceMaps> maps(new SpliceMaps(std::move(program), options));
  SOCKMESH_CHECK(maps->map_records());
  SOCKMESH_CHECK(maps->make_rings(options.rings));
  splice_control& control = *maps->program_.control();
  control.limit_skbs = options.limit_skbs;
  control.limit_bytes = options.limit_bytes;
  maps->set_enabled(true);
  return maps;
}

Result<void> SpliceMaps::map_records() {
  void* memory = mmap(nullptr, page_rounded(options_.slots * sizeof(splice_direction)),
                      PROT_READ | PROT_WRITE, MAP_SHARED, program_.directions_fd(), 0);
  if (memory == MAP_FAILED) return fail(os_error("mapping the splice records"));
  records_ = static_cast<splice_direction*>(memory);
  return {};
}

Result<void> SpliceMaps::make_rings(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    Fd ring(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "splice_ring", 0, 0, kRingBytes, nullptr));
    if (!ring) return fail(os_error("making a BPF ring buffer"));
    const int fd = ring.get();
    if (bpf_map_update_elem(program_.rings_fd(), &i, &fd, BPF_ANY) != 0)
      return fail(os_error("putting a BPF ring buffer in its place"));
    rings_.push_back(std::move(ring));
  }
  const Lock lock(mutex_);
  leased_.resize(count);
  return {};
}

Result<SpliceMaps::Slot> SpliceMaps::claim(uint64_t cookie) {
  for (uint32_t way = 0; way < SPLICE_WAYS; ++way) {
    const uint32_t index = (static_cast<uint32_t>(cookie) + way) & (options_.slots - 1);
    splice_direction* record = &records_[index];
    __u64 none = 0;
    if (!std::atomic_ref(record->cookie).compare_exchange_strong(none, cookie)) continue;
    // A socket whose descriptor was closed can live a moment longer. While it is in the map, a verdict may be
    // running on the record; once it is out none can be, since the kernel takes it out under its lock.
    uint64_t occupant = 0;
    if (bpf_map_lookup_elem(program_.sockets_fd(), &index, &occupant) == 0) {
      std::atomic_ref(record->cookie).store(0);
      continue;
    }
    // All but the cookie, which other workers' claims look at.
    std::memset(reinterpret_cast<char*>(record) + sizeof record->cookie, 0,
                sizeof *record - sizeof record->cookie);
    record->target = index;  // itself, until the pair is known; it is disarmed anyway
    record->ring = SPLICE_NO_RING;
    ++slots_used_;
    return Slot{index, record};
  }
  return fail("no free splice slot ({} of {} in use)", slots_used_.load(), options_.slots);
}

void SpliceMaps::release(Slot slot) {
  std::atomic_ref(slot.record->user_word).store(0);
  std::atomic_ref(slot.record->cookie).store(0);
  --slots_used_;
}

Result<void> SpliceMaps::insert(Slot slot, int tcp_socket) {
  const auto value = static_cast<uint64_t>(tcp_socket);
  if (bpf_map_update_elem(program_.sockets_fd(), &slot.index, &value, BPF_NOEXIST) == 0) return {};
  switch (errno) {
    case EOPNOTSUPP:
      return fail(os_error("splicing a socket that is not established any more", EOPNOTSUPP));
    case EBUSY:
      return fail(os_error("splicing a socket that another BPF program has taken", EBUSY));
    case EINVAL:
      return fail(os_error("splicing a socket with an upper-layer protocol such as kTLS", EINVAL));
    default:
      return fail(os_error("putting a socket into the sockmap"));
  }
}

void SpliceMaps::apply_switch() {
  std::atomic_ref(program_.control()->enabled).store(wanted_ && disabled_reason_.empty() ? 1 : 0);
}

void SpliceMaps::set_enabled(bool enabled) {
  const Lock lock(mutex_);
  wanted_ = enabled;
  apply_switch();
}

bool SpliceMaps::enabled() const { return std::atomic_ref(program_.control()->enabled).load() != 0; }

void SpliceMaps::disable(std::string reason) {
  const Lock lock(mutex_);
  if (disabled_reason_.empty()) disabled_reason_ = std::move(reason);
  apply_switch();
}

std::string SpliceMaps::disabled_reason() const {
  const Lock lock(mutex_);
  return disabled_reason_;
}

std::optional<uint32_t> SpliceMaps::lease_ring() {
  const Lock lock(mutex_);
  const auto free = std::find(leased_.begin(), leased_.end(), false);
  if (free == leased_.end()) return std::nullopt;
  *free = true;
  return static_cast<uint32_t>(free - leased_.begin());
}

void SpliceMaps::return_ring(uint32_t ring) {
  const Lock lock(mutex_);
  leased_[ring] = false;
}

bool SpliceMaps::take_lost(uint32_t ring) {
  return std::atomic_ref(program_.control()->lost[ring]).exchange(0) != 0;
}

SpliceMaps::Stats SpliceMaps::stats() const {
  splice_control& control = *program_.control();
  const auto read = [](__u64& counter) { return std::atomic_ref(counter).load(std::memory_order_relaxed); };
  return {read(control.trimmed_skbs), read(control.trimmed_bytes), read(control.fins),   read(control.broken),
          read(control.strangers),    read(control.spared),        read(control.behind), options_.slots,
          slots_used_.load()};
}

}  // namespace sockmesh::bpf

#include "bpf/direct_maps.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>

namespace sockmesh::bpf {

namespace {

size_t page_rounded(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

Result<void*> map_array(int fd, size_t bytes, std::string_view what) {
  void* memory = mmap(nullptr, page_rounded(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return fail(os_error(fmt::format("mapping {}", what)));
  return memory;
}

template <typename Key, typename Value>
Result<void> set(int map, const Key& key, const Value& value, std::string_view what) {
  if (bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0) return {};
  Error error = os_error(fmt::format("writing {} into the kernel", what));
  if (error.os_error == E2BIG || error.os_error == ENOSPC) error.message += ": its map is full";
  return fail(std::move(error));
}

template <typename Key>
Result<void> erase(int map, const Key& key, std::string_view what) {
  if (bpf_map_delete_elem(map, &key) == 0 || errno == ENOENT) return {};
  return fail(os_error(fmt::format("erasing {} from the kernel", what)));
}

uint32_t side_of(const direct_destination& key) { return key.side; }
uint32_t side_of(const direct_prefix& key) { return key.side; }
uint32_t side_of(const direct_number& key) { return key.side; }
uint32_t side_of(const direct_host_key& key) { return key.side; }

// The keys of one side. Nobody else writes, so the walk meets each once.
template <typename Key>
Result<std::vector<Key>> keys(int map, uint32_t side, std::string_view what) {
  std::vector<Key> found;
  Key key{}, next{};
  for (const Key* before = nullptr; bpf_map_get_next_key(map, before, &next) == 0; before = &key) {
    key = next;
    if (side_of(key) == side) found.push_back(key);
  }
  if (errno != ENOENT) return fail(os_error(fmt::format("reading {} from the kernel", what)));
  return found;
}

template <typename Value, typename Key>
Result<Value> get(int map, const Key& key, std::string_view what) {
  Value value{};
  if (bpf_map_lookup_elem(map, &key, &value) == 0) return value;
  return fail(os_error(fmt::format("reading {} from the kernel", what)));
}

template <typename Key>
Result<void> wipe(int map, uint32_t side, std::string_view what) {
  SOCKMESH_TRY(found, keys<Key>(map, side, what));
  for (const Key& key : found) SOCKMESH_CHECK(erase(map, key, what));
  return {};
}

constexpr uint32_t other(uint32_t side) { return DIRECT_SIDES - 1 - side; }

}  // namespace

DirectMaps::~DirectMaps() {
  if (control_) munmap(control_, page_rounded(sizeof *control_));
  if (live_) munmap(live_, page_rounded(live_records_ * sizeof *live_));
}

Result<std::unique_ptr<DirectMaps>> DirectMaps::open(const Options& options) {
  if ((options.mark & options.mark_mask) == 0)
    return fail("mark {:#x} with mask {:#x}: expected a bit that the rules can see", options.mark,
                options.mark_mask);
  SOCKMESH_TRY(program, DirectProgram::load(options.sizes, options.folder, options.stall));
  std::unique_ptr<DirectMaps> maps(new DirectMaps(std::move(program)));
  SOCKMESH_CHECK(maps->map_memory());
  SOCKMESH_CHECK(maps->make_barrier());
  SOCKMESH_CHECK(maps->add_up_memory());
  direct_control& control = *maps->control_;
  control.mark_mask = options.mark_mask;
  control.mark = options.mark;
  control.uid = options.proxy_uid.value_or(DIRECT_NONE);
  control.gid = options.proxy_gid.value_or(DIRECT_NONE);
  if (!maps->adopted()) {
    maps->set_enabled(true);
    return maps;
  }
  for (uint32_t i = 0; i < maps->live_records_; ++i)
    if (maps->live_[i].proxied != 0) maps->set_proxied(i, 0);
  // Whoever filled them may have died in the middle of a change.
  SOCKMESH_CHECK(maps->wait_for_programs());
  SOCKMESH_CHECK(maps->copy_active());
  return maps;
}

Result<void> DirectMaps::map_memory() {
  SOCKMESH_TRY(control, map_array(program_.control_fd(), sizeof *control_, "the control block"));
  control_ = static_cast<direct_control*>(control);
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_.live_fd(), &info, &size) != 0)
    return fail(os_error("asking about the live records"));
  SOCKMESH_TRY(live, map_array(program_.live_fd(), info.max_entries * sizeof *live_, "the live records"));
  live_ = static_cast<direct_live*>(live);
  live_records_ = info.max_entries;
  return {};
}

// Changing an element of an array of maps makes the kernel wait until no program runs that may have seen the
// old one (maybe_wait_bpf_programs(), kernel/bpf/syscall.c). That is all these two maps are for.
Result<void> DirectMaps::make_barrier() {
  barrier_content_ =
      Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "direct_barrier", sizeof(__u32), sizeof(__u32), 1, nullptr));
  if (!barrier_content_) return fail(os_error("making a BPF array"));
  LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = static_cast<__u32>(barrier_content_.get()));
  barrier_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "direct_barrier", sizeof(__u32), sizeof(__u32), 1,
                               &options));
  if (!barrier_) return fail(os_error("making a BPF array of maps"));
  return {};
}

// As the kernel allocates: a bucket of 16 bytes for each entry that a hash has room for, and an entry when it
// is made, from the slab of the next size (kernel/bpf/hashtab.c, lpm_trie.c, ringbuf.c).
Result<void> DirectMaps::add_up_memory() {
  constexpr uint64_t kBucket = 16, kEntryHead = 64;
  bytes_at_most_ = sizeof(direct_control);
  for (const int map :
       {program_.destinations_fd(), program_.prefixes_fd(), program_.routes_fd(), program_.clusters_fd(),
        program_.hosts_fd(), program_.live_fd(), program_.events_fd()}) {
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(map, &info, &size) != 0) return fail(os_error("asking about a BPF map"));
    if (info.type == BPF_MAP_TYPE_ARRAY || info.type == BPF_MAP_TYPE_RINGBUF) {
      bytes_at_most_ += uint64_t{info.max_entries} * std::max<uint64_t>(info.value_size, 1);
    } else {
      const uint64_t entry = std::bit_ceil(kEntryHead + info.key_size + info.value_size);
      bytes_at_most_ += info.max_entries * (kBucket + entry);
    }
  }
  return {};
}

Result<void> DirectMaps::wait_for_programs() const {
  const __u32 zero = 0;
  const int content = barrier_content_.get();
  if (bpf_map_update_elem(barrier_.get(), &zero, &content, BPF_ANY) != 0)
    return fail(os_error("waiting for running BPF programs"));
  return {};
}

uint32_t DirectMaps::active() const { return std::atomic_ref(control_->active).load() & (DIRECT_SIDES - 1); }

Result<void> DirectMaps::set_cluster(uint32_t number, const std::optional<DirectCluster>& cluster,
                                     uint32_t side) const {
  const std::string what = fmt::format("cluster {}", number);
  const direct_number key{side, number};
  direct_cluster before{};
  (void)bpf_map_lookup_elem(program_.clusters_fd(), &key, &before);  // zeros: there was none
  uint32_t index = 0;
  if (cluster) {
    for (const direct_host& host : hosts_to_kernel(*cluster)) {
      const direct_host_key host_key{side, number, index++};
      SOCKMESH_CHECK(set(program_.hosts_fd(), host_key, host, fmt::format("a host of {}", what)));
    }
    SOCKMESH_CHECK(set(program_.clusters_fd(), key, to_kernel(*cluster), what));
  } else {
    SOCKMESH_CHECK(erase(program_.clusters_fd(), key, what));
  }
  for (; index < before.hosts; ++index) {
    const direct_host_key host_key{side, number, index};
    SOCKMESH_CHECK(erase(program_.hosts_fd(), host_key, fmt::format("a host of {}", what)));
  }
  return {};
}

Result<void> DirectMaps::write(const DirectChange& change, uint32_t side) const {
  // What becomes free first, so that a full map can be changed.
  for (const auto& [number, cluster] : change.clusters)
    if (!cluster) SOCKMESH_CHECK(set_cluster(number, cluster, side));
  for (const auto& [number, cluster] : change.clusters)
    if (cluster) SOCKMESH_CHECK(set_cluster(number, cluster, side));
  const auto put = [&](int map, const auto& changes, const auto& key_of,
                       std::string_view what) -> Result<void> {
    for (const auto& [name, value] : changes)
      if (!value) SOCKMESH_CHECK(erase(map, key_of(name), what));
    for (const auto& [name, value] : changes)
      if (value) SOCKMESH_CHECK(set(map, key_of(name), to_kernel(*value), what));
    return {};
  };
  const auto numbered = [&](uint32_t number) { return direct_number{side, number}; };
  const auto sided = [&](const auto& name) { return to_kernel(name, side); };
  SOCKMESH_CHECK(put(program_.routes_fd(), change.routes, numbered, "a route"));
  SOCKMESH_CHECK(put(program_.destinations_fd(), change.destinations, sided, "a destination"));
  return put(program_.prefixes_fd(), change.prefixes, sided, "a prefix");
}

Result<void> DirectMaps::apply(const DirectChange& change, uint64_t generation) {
  SOCKMESH_CHECK(check(change));
  SOCKMESH_CHECK(settle());
  const uint32_t side = other(active());
  torn_ = true;
  if (auto written = write(change, side); !written) {
    (void)settle();  // as it was; if that fails too, the next call tries again
    return written;
  }
  torn_ = false;
  std::atomic_ref(control_->generation[side]).store(generation);
  std::atomic_ref(control_->active).store(side);
  unsettled_ = change;
  return {};
}

Result<void> DirectMaps::settle() {
  if (!unsettled_ && !torn_) return {};
  if (unsettled_) {
    SOCKMESH_CHECK(wait_for_programs());
    if (!torn_ && !write(*unsettled_, other(active()))) torn_ = true;
    unsettled_.reset();
  }
  if (torn_) SOCKMESH_CHECK(copy_active());
  torn_ = false;
  return {};
}

Result<DirectTable> DirectMaps::read(uint32_t side) const {
  DirectTable table;
  SOCKMESH_TRY(destinations, keys<direct_destination>(program_.destinations_fd(), side, "destinations"));
  for (const auto& key : destinations) {
    SOCKMESH_TRY(verdict, get<direct_verdict>(program_.destinations_fd(), key, "a destination"));
    table.destinations[from_kernel(key)] = from_kernel(verdict);
  }
  SOCKMESH_TRY(prefixes, keys<direct_prefix>(program_.prefixes_fd(), side, "prefixes"));
  for (const auto& key : prefixes) {
    SOCKMESH_TRY(verdict, get<direct_verdict>(program_.prefixes_fd(), key, "a prefix"));
    table.prefixes[from_kernel(key)] = from_kernel(verdict);
  }
  SOCKMESH_TRY(routes, keys<direct_number>(program_.routes_fd(), side, "routes"));
  for (const auto& key : routes) {
    SOCKMESH_TRY(route, get<direct_route>(program_.routes_fd(), key, "a route"));
    table.routes[key.number] = from_kernel(route);
  }
  SOCKMESH_TRY(clusters, keys<direct_number>(program_.clusters_fd(), side, "clusters"));
  for (const auto& key : clusters) {
    SOCKMESH_TRY(cluster, get<direct_cluster>(program_.clusters_fd(), key, "a cluster"));
    std::vector<direct_host> hosts;
    for (uint32_t i = 0; i < cluster.hosts; ++i) {
      const direct_host_key host_key{side, key.number, i};
      SOCKMESH_TRY(host, get<direct_host>(program_.hosts_fd(), host_key, "a host"));
      hosts.push_back(host);
    }
    table.clusters[key.number] = from_kernel(cluster, hosts);
  }
  return table;
}

Result<DirectTable> DirectMaps::table() const { return read(active()); }

// Everything that is on the other side goes, whatever state it is in, and what is in force is written there.
Result<void> DirectMaps::copy_active() const {
  const uint32_t side = other(active());
  SOCKMESH_TRY(in_force, read(active()));
  SOCKMESH_CHECK(wipe<direct_destination>(program_.destinations_fd(), side, "destinations"));
  SOCKMESH_CHECK(wipe<direct_prefix>(program_.prefixes_fd(), side, "prefixes"));
  SOCKMESH_CHECK(wipe<direct_number>(program_.routes_fd(), side, "routes"));
  SOCKMESH_CHECK(wipe<direct_number>(program_.clusters_fd(), side, "clusters"));
  SOCKMESH_CHECK(wipe<direct_host_key>(program_.hosts_fd(), side, "hosts"));
  return write(difference({}, in_force), side);
}

uint64_t DirectMaps::generation() const { return std::atomic_ref(control_->generation[active()]).load(); }

direct_live DirectMaps::live(uint32_t number) const {
  if (number >= live_records_) return {};
  return {std::atomic_ref(live_[number].open).load(std::memory_order_relaxed),
          std::atomic_ref(live_[number].drawn).load(std::memory_order_relaxed),
          std::atomic_ref(live_[number].proxied).load(std::memory_order_relaxed), 0};
}

void DirectMaps::set_proxied(uint32_t number, uint32_t count) {
  if (number < live_records_)
    std::atomic_ref(live_[number].proxied).store(static_cast<__s32>(count), std::memory_order_relaxed);
}

Result<std::vector<direct_record>> DirectMaps::open_flows() const {
  const Fd iterator(bpf_iter_create(program_.open_flows_fd()));
  if (!iterator) return fail(os_error("iterating over direct flows"));
  std::vector<direct_record> found;
  std::array<direct_record, 64> records;
  // A read may end within a record.
  for (size_t have = 0;;) {
    const ssize_t got =
        ::read(iterator.get(), reinterpret_cast<char*>(records.data()) + have, sizeof records - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(os_error("reading direct flows"));
    if (got == 0) return found;
    have += static_cast<size_t>(got);
    const size_t whole = have / sizeof(direct_record);
    found.insert(found.end(), records.begin(), records.begin() + static_cast<ptrdiff_t>(whole));
    have -= whole * sizeof(direct_record);
    if (have > 0) records[0] = records[whole];
  }
}

void DirectMaps::set_enabled(bool enabled) { std::atomic_ref(control_->enabled).store(enabled ? 1 : 0); }

bool DirectMaps::enabled() const { return std::atomic_ref(control_->enabled).load() != 0; }

uint64_t DirectMaps::count(direct_count what) const {
  return std::atomic_ref(control_->counts[what]).load(std::memory_order_relaxed);
}

std::string_view to_string(direct_count what) {
  static constexpr std::array<std::string_view, DIRECT_COUNTS> kNames{
      "rewritten", "original", "missed",          "intercepted",     "off",  "own",
      "mptcp",     "local",    "bound",           "family",          "full", "incomplete",
      "unmarked",  "refused",  "no-healthy-host", "max-connections", "lost", "recounted"};
  return kNames[what];
}

}  // namespace sockmesh::bpf

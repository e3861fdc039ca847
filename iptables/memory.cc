#include "iptables/memory.h"

#include <array>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

constexpr std::string_view kNotes = "table inet sockmesh-init {";
// The built-in chains of the tables: what the rules, the guard, Istio's usability test and a restore of a
// saved table may bring into being.
constexpr std::array<std::string_view, 14> kMayAppear = {
    "filter-INPUT",   "filter-FORWARD",  "filter-OUTPUT",      "mangle-PREROUTING", "mangle-INPUT",
    "mangle-FORWARD", "mangle-OUTPUT",   "mangle-POSTROUTING", "nat-PREROUTING",    "nat-INPUT",
    "nat-OUTPUT",     "nat-POSTROUTING", "raw-PREROUTING",     "raw-OUTPUT"};

std::string_view tag(Family family) { return family == Family::v4 ? "v4" : "v6"; }
std::string_view nft_family(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

// FNV-1a, 64 bits: a name for a rule, short enough for a chain's name.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

std::string foreign_note(Family family, std::string_view table, const SavedRule& rule) {
  return fmt::format("{}-foreign-{}-{}-{:016x}", tag(family), table, rule.chain, hash_of(rule.body));
}

// Calls `each(table line, chain name)` for what `nft list` printed; the chain is empty for the table itself.
template <typename Each>
void scan(std::string_view listing, Each each) {
  std::string_view table;
  for (const std::string_view line : split(listing, '\n')) {
    if (line.starts_with("table ")) {
      table = line;
      each(table, std::string_view{});
    } else if (const std::string_view inner = trim(line); inner.starts_with("chain ")) {
      each(table, split(inner, ' ')[1]);
    }
  }
}

template <typename Each>
void for_each_place(Each each) {
  for (const Family family : {Family::v4, Family::v6}) {
    for (const std::string_view place : kMayAppear) each(family, place);
  }
}

void note_absence(const NftInventory& inventory, std::set<std::string>& notes) {
  for_each_place([&](Family family, std::string_view place) {
    const std::string_view table = place.substr(0, place.find('-'));
    for (const std::string_view name : {table, place}) {
      if (!inventory.contains(fmt::format("{}-{}", tag(family), name)))
        notes.insert(fmt::format("{}-absent-{}", tag(family), name));
    }
  });
}

}  // namespace

bool Memory::knows(Family family, std::string_view table, const SavedRule& rule) const {
  return notes.contains(foreign_note(family, table, rule));
}

Memory recall(const Launcher& launcher) {
  Memory memory;
  const auto listing = launcher({"nft", "list", "chains", "inet"});
  if (!listing || !listing->ok()) return memory;
  memory.available = true;
  scan(listing->output, [&](std::string_view table, std::string_view chain) {
    if (table == kNotes && !chain.empty()) memory.notes.emplace(chain);
  });
  return memory;
}

NftInventory take_inventory(const Launcher& launcher) {
  NftInventory inventory;
  for (const Family family : {Family::v4, Family::v6}) {
    // `list tables` too: a table without a chain does not show in `list chains`.
    for (const char* what : {"tables", "chains"}) {
      const auto listing = launcher({"nft", "list", what, std::string(nft_family(family))});
      if (!listing || !listing->ok()) continue;
      scan(listing->output, [&](std::string_view table, std::string_view chain) {
        const auto words = split(table, ' ');
        if (words.size() < 3) return;
        std::string name = fmt::format("{}-{}", tag(family), words[2]);
        inventory.insert(chain.empty() ? name : fmt::format("{}-{}", name, chain));
      });
    }
  }
  return inventory;
}

Memory absence(const NftInventory& inventory) {
  Memory memory;
  note_absence(inventory, memory.notes);
  return memory;
}

Result<void> remember(const Launcher& launcher, Memory& memory, const NftInventory& inventory,
                      const SavedState& v4, const SavedState& v6) {
  if (!memory.available) return {};
  std::set<std::string> notes = {"begin"};
  for (const std::string& note : memory.notes) {
    if (note.find("-absent-") != std::string::npos) notes.insert(note);
  }
  if (!memory.written()) note_absence(inventory, notes);
  for (const Family family : {Family::v4, Family::v6}) {
    for (const SavedTable& table : (family == Family::v4 ? v4 : v6).tables) {
      for (const SavedRule& rule : table.rules) {
        if (rule.chain == "PREROUTING" || rule.chain == "OUTPUT")
          notes.insert(foreign_note(family, table.name, rule));
      }
    }
  }
  // In one transaction, whether or not the table is there already.
  std::string script =
      "add table inet sockmesh-init\ndelete table inet sockmesh-init\nadd table inet sockmesh-init\n";
  for (const std::string& note : notes) script += fmt::format("add chain inet sockmesh-init {}\n", note);
  SOCKMESH_TRY(outcome, launcher({"nft", "-f", "-"}, script));
  if (!outcome.ok()) {
    memory.available = false;  // nft is there but may not write; work as without it
    return {};
  }
  memory.notes = std::move(notes);
  return {};
}

void forget(const Launcher& launcher, const Memory& memory) {
  if (!memory.written()) return;
  // One command each: a chain that has rules by now belongs to somebody and refuses to go, which is right.
  const NftInventory now = take_inventory(launcher);
  const auto drop = [&](Family family, std::string_view name, std::vector<std::string> what) {
    if (!memory.notes.contains(fmt::format("{}-absent-{}", tag(family), name))) return;
    if (!now.contains(fmt::format("{}-{}", tag(family), name))) return;
    std::vector<std::string> argv = {"nft", "delete"};
    argv.insert(argv.end(), what.begin(), what.end());
    (void)launcher(std::move(argv));
  };
  for_each_place([&](Family family, std::string_view place) {
    const size_t dash = place.find('-');
    drop(family, place,
         {"chain", std::string(nft_family(family)), std::string(place.substr(0, dash)),
          std::string(place.substr(dash + 1))});
  });
  // Deleting a table takes its chains along, so only one that has none is deleted.
  const NftInventory left = take_inventory(launcher);
  for (const Family family : {Family::v4, Family::v6}) {
    for (const Table table : kTables) {
      const std::string prefix = fmt::format("{}-{}-", tag(family), table_name(table));
      const auto chain = left.lower_bound(prefix);
      if (chain != left.end() && chain->starts_with(prefix)) continue;
      drop(family, table_name(table),
           {"table", std::string(nft_family(family)), std::string(table_name(table))});
    }
  }
  (void)launcher({"nft", "delete", "table", "inet", "sockmesh-init"});
}

}  // namespace sockmesh::iptables

#include "iptables/memory.h"

#include <array>

#include "base/fnv1a.h"
#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

constexpr std::string_view kNotesTable = "sockmesh-init";

// The built-in chains of the tables: what the rules, the guard and Istio's usability test may bring into
// being.
struct BuiltinTable {
  Table table;
  std::array<std::string_view, 5> chains;  // empty at the end
};
constexpr BuiltinTable kBuiltin[] = {
    {Table::kFilter, {"INPUT", "FORWARD", "OUTPUT", "", ""}},
    {Table::kMangle, {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
    {Table::kNat, {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING", ""}},
    {Table::kRaw, {"PREROUTING", "OUTPUT", "", "", ""}},
};
constexpr Family kFamilies[] = {Family::kV4, Family::kV6};

std::string_view tag(Family family) { return family == Family::kV4 ? "v4" : "v6"; }

std::string place(Family family, std::string_view table, std::string_view chain = {}) {
  return chain.empty() ? fmt::format("{}-{}", tag(family), table)
                       : fmt::format("{}-{}-{}", tag(family), table, chain);
}

// "v4-nat-OUTPUT" -> "v4-absent-nat-OUTPUT"
std::string absence_note(const std::string& where) {
  return where.substr(0, 3) + "absent-" + where.substr(3);
}

std::string foreign_note(Family family, std::string_view table, const SavedRule& rule) {
  return fmt::format("{}-foreign-{}-{}-{:016x}", tag(family), table, rule.chain, fnv1a(rule.body));
}

void note_absence(const NftInventory& inventory, std::set<std::string>& notes) {
  for (const Family family : kFamilies) {
    for (const auto& [table, chains] : kBuiltin) {
      const auto note = [&](const std::string& where) {
        if (!inventory.contains(where)) notes.insert(absence_note(where));
      };
      note(place(family, table_name(table)));
      for (const std::string_view chain : chains) {
        if (!chain.empty()) note(place(family, table_name(table), chain));
      }
    }
  }
}

}  // namespace

bool Memory::knows(Family family, std::string_view table, const SavedRule& rule) const {
  return notes.contains(foreign_note(family, table, rule));
}

NftView parse_nft_ruleset(std::string_view listing) {
  NftView view;
  view.memory.available = true;
  std::string table;  // the place being read, or empty
  bool notes = false;
  bool* chain_in_use = nullptr;
  for (const std::string_view full : split(listing, '\n')) {
    const std::string_view line = trim(full);
    const auto words = split(line, ' ');
    if (full.starts_with("table ") && words.size() >= 3) {
      notes = words[1] == "inet" && words[2] == kNotesTable;
      chain_in_use = nullptr;
      table.clear();
      for (const Family family : kFamilies) {
        if (words[1] == nft_family(family)) table = place(family, words[2]);
      }
      if (!table.empty()) view.inventory[table] = false;
    } else if (line.starts_with("chain ") && words.size() >= 2) {
      if (notes) view.memory.notes.emplace(words[1]);
      if (table.empty()) continue;
      view.inventory[table] = true;
      chain_in_use = &view.inventory[fmt::format("{}-{}", table, words[1])];
    } else if (line == "}") {
      chain_in_use = nullptr;
    } else if (chain_in_use && !line.empty()) {
      const bool idle = line.starts_with("type ") && line.ends_with("policy accept;");
      *chain_in_use = *chain_in_use || !idle;
    }
  }
  return view;
}

NftView look_at_nft(const Launcher& launcher) {
  const auto listing = launcher({"nft", "list", "ruleset"});
  return listing && listing->ok() ? parse_nft_ruleset(listing->output) : NftView{};
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
  for (const Family family : kFamilies) {
    for (const SavedTable& table : (family == Family::kV4 ? v4 : v6).tables) {
      for (const SavedRule& rule : table.rules) {
        if (rule.chain == "PREROUTING" || rule.chain == "OUTPUT")
          notes.insert(foreign_note(family, table.name, rule));
      }
    }
  }
  // In one transaction, whether or not the table is there already.
  std::string script =
      fmt::format("add table inet {0}\ndelete table inet {0}\nadd table inet {0}\n", kNotesTable);
  for (const std::string& note : notes) script += fmt::format("add chain inet {} {}\n", kNotesTable, note);
  SOCKMESH_TRY(outcome, launcher({"nft", "-f", "-"}, script));
  if (!outcome.ok()) {
    memory.available = false;  // nft is there but may not write; work as without it
    return {};
  }
  memory.notes = std::move(notes);
  return {};
}

std::string forgetting_script(const Memory& memory, const NftInventory& now) {
  std::string script;
  for (const Family family : kFamilies) {
    for (const auto& [table, chains] : kBuiltin) {
      bool table_in_use = false;
      const std::string prefix = place(family, table_name(table)) + "-";
      for (auto at = now.lower_bound(prefix); at != now.end() && at->first.starts_with(prefix); ++at) {
        if (at->second || !memory.notes.contains(absence_note(at->first)))
          table_in_use = true;
        else
          script += fmt::format("delete chain {} {} {}\n", nft_family(family), table_name(table),
                                at->first.substr(prefix.size()));
      }
      const std::string where = place(family, table_name(table));
      if (!table_in_use && now.contains(where) && memory.notes.contains(absence_note(where)))
        script += fmt::format("delete table {} {}\n", nft_family(family), table_name(table));
    }
  }
  return script + fmt::format("add table inet {0}\ndelete table inet {0}\n", kNotesTable);
}

void forget(const Launcher& launcher, const Memory& memory) {
  if (!memory.written()) return;
  // Should somebody start to use a chain in between, nothing is deleted at all; the empty rest harms nobody.
  (void)launcher({"nft", "-f", "-"}, forgetting_script(memory, look_at_nft(launcher).inventory));
}

}  // namespace sockmesh::iptables

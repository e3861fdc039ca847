#include "iptables/saved_state.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace sockmesh::iptables {

namespace {

// "[12:3456] -A X" -> "-A X"; ":X ACCEPT [0:0]" -> ":X ACCEPT".
std::string_view without_counter(std::string_view line) {
  if (line.starts_with('[')) {
    const size_t end = line.find("] ");
    return end == std::string_view::npos ? line : line.substr(end + 2);
  }
  if (line.starts_with(':')) {
    const size_t start = line.rfind(" [");
    return start == std::string_view::npos ? line : line.substr(0, start);
  }
  return line;
}

// Words as iptables-restore splits them: blanks, double quotes, backslashes inside quotes.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool started = false, quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\' && i + 1 < text.size()) {
      word += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
      started = true;
    } else if (!quoted && (c == ' ' || c == '\t')) {
      if (started) words.push_back(std::exchange(word, {}));
      started = false;
    } else {
      word += c;
      started = true;
    }
  }
  if (started) words.push_back(std::move(word));
  return words;
}

// Numbers as iptables reads them: decimal or 0x.
std::optional<uint64_t> any_number(std::string_view text) {
  if (text.starts_with("0x")) {
    uint64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
  }
  return parse_number<uint64_t>(text);
}

// "1337", "0x539/0xffffffff" -> "1337/4294967295"
std::string mark_form(std::string_view text) {
  const size_t slash = text.find('/');
  const auto value = any_number(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? UINT32_MAX : any_number(text.substr(slash + 1));
  return value && mask ? fmt::format("{}/{}", *value, *mask) : std::string(text);
}

std::string address_form(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return prefix ? prefix->to_string() : std::string(text);
}

std::string group_form(const std::string& text, const GroupIds& groups) {
  const auto known = groups.find(text);
  return known == groups.end() ? text : std::to_string(known->second);
}

std::string sorted_list(const std::string& text) {
  std::vector<std::string> parts;
  for (const std::string_view part : split(text, ',')) parts.emplace_back(part);
  std::sort(parts.begin(), parts.end());
  return join(parts, ",");
}

bool is_full_mask(std::string_view text) { return any_number(text) == UINT32_MAX; }

}  // namespace

bool SavedTable::has_chain(std::string_view chain) const {
  return std::find(chains.begin(), chains.end(), chain) != chains.end();
}

std::vector<const SavedRule*> SavedTable::in_chain(std::string_view chain) const {
  std::vector<const SavedRule*> out;
  for (const SavedRule& rule : rules) {
    if (rule.chain == chain) out.push_back(&rule);
  }
  return out;
}

const SavedTable* SavedState::find(std::string_view table) const {
  const auto at =
      std::find_if(tables.begin(), tables.end(), [&](const SavedTable& t) { return t.name == table; });
  return at == tables.end() ? nullptr : &*at;
}

SavedState parse_save(std::string_view text) {
  SavedState state;
  SavedTable* table = nullptr;  // the one being read
  for (const std::string_view full : split(text, '\n')) {
    if (full.starts_with('*')) {
      state.tables.push_back(
          {.name = std::string(trim(full.substr(1))), .chains = {}, .rules = {}, .text = {}});
      table = &state.tables.back();
    }
    if (!table || full.empty() || full.starts_with('#')) continue;
    table->text += std::string(full) + "\n";
    const std::string_view line = without_counter(full);
    if (line == "COMMIT") {
      table = nullptr;
    } else if (line.starts_with(':')) {
      table->chains.emplace_back(line.substr(1, line.find(' ') - 1));
    } else if (line.starts_with("-A ")) {
      const std::string_view rest = line.substr(3);
      const size_t blank = std::min(rest.find(' '), rest.size());
      table->rules.push_back({std::string(rest.substr(0, blank)), std::string(trim(rest.substr(blank)))});
    }
  }
  return state;
}

std::string without_counters(std::string_view text) {
  std::string out;
  for (const std::string_view line : split(text, '\n')) {
    if (!line.empty() && !line.starts_with('#')) out += std::string(without_counter(line)) + "\n";
  }
  return out;
}

bool is_own_chain(std::string_view chain) { return chain.starts_with("ISTIO_"); }

std::string target_of(std::string_view body) {
  const auto words = words_of(body);
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "-j" || words[i] == "-g") return words[i + 1];
  }
  return {};
}

std::string normal_form(std::string_view body, const GroupIds& groups) {
  const auto words = words_of(body);
  std::vector<std::string> matches, target;
  bool in_target = false, negate = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "!") {
      negate = true;
      continue;
    }
    if (!word.starts_with('-')) {  // a value without an option: not a spelling of ours
      (in_target ? target : matches).push_back(word);
      continue;
    }
    std::string option = word;
    const bool flag_only = option == "--save-mark" || option == "--restore-mark";
    std::string value =
        !flag_only && i + 1 < words.size() && !words[i + 1].starts_with("--") ? words[++i] : "";
    const bool drop = (option == "-m") || (option == "--on-ip" && (value == "0.0.0.0" || value == "::")) ||
                      ((option == "--nfmask" || option == "--ctmask") && is_full_mask(value));
    if (drop) continue;  // -m only loads the match that the options after it belong to
    if (option == "-j" || option == "-g") in_target = true;
    if (option == "--tcp-flags" && i + 1 < words.size()) value += " " + words[++i];  // the mask, what is set
    if (option == "--to-port") option = "--to-ports";
    if (option == "--set-xmark") option = "--set-mark";
    if (option == "-s" || option == "-d") value = address_form(value);
    if ((option == "-s" || option == "-d") && value.ends_with("/0") && !negate) continue;  // every address
    if (option == "--mark" || option == "--set-mark" || option == "--tproxy-mark") value = mark_form(value);
    if (option == "--gid-owner") value = group_form(value, groups);
    if (option == "--ctstate" || option == "--dports") value = sorted_list(value);
    (in_target ? target : matches).push_back(fmt::format("{}{} {}", negate ? "! " : "", option, value));
    negate = false;
  }
  std::sort(matches.begin(), matches.end());
  if (target.size() > 1) std::sort(target.begin() + 1, target.end());
  return join(matches, " ") + " | " + join(target, " ");
}

}  // namespace sockmesh::iptables

// Table: rows as Go's tabwriter prints them with padding 5 (istioctl's tables): every column but the last is
// as wide as its widest cell and five blanks, left-aligned, no lines, trailing blanks kept.
#pragma once

#include <string>
#include <vector>

namespace sockmesh::ctl {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  Table() = default;  // no header

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sockmesh::ctl

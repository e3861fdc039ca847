#include "model/flags.h"

namespace sockmesh::model {

std::string_view short_name(ResponseFlag flag) {
  switch (flag) {
    case ResponseFlag::kNoHealthyUpstream:
      return "UH";
    case ResponseFlag::kUpstreamConnectionFailure:
      return "UF";
    case ResponseFlag::kUpstreamRetryLimitExceeded:
      return "URX";
    case ResponseFlag::kUpstreamOverflow:
      return "UO";
    case ResponseFlag::kNoRouteFound:
      return "NR";
    case ResponseFlag::kNoClusterFound:
      return "NC";
    case ResponseFlag::kDurationTimeout:
      return "DT";
    case ResponseFlag::kUpstreamRemoteReset:
      return "UR";
    case ResponseFlag::kOverloadManager:
      return "OM";
  }
  return "-";
}

void ResponseFlags::add(ResponseFlag flag) {
  if (!has(flag)) raised_[count_++] = flag;
}

bool ResponseFlags::has(ResponseFlag flag) const {
  for (uint8_t i = 0; i < count_; ++i)
    if (raised_[i] == flag) return true;
  return false;
}

std::string ResponseFlags::to_string() const {
  if (empty()) return "-";
  std::string text;
  for (uint8_t i = 0; i < count_; ++i) {
    if (i > 0) text += ',';
    text += short_name(raised_[i]);
  }
  return text;
}

bool ResponseFlags::operator==(const ResponseFlags& other) const {
  if (count_ != other.count_) return false;
  for (uint8_t i = 0; i < count_; ++i)
    if (raised_[i] != other.raised_[i]) return false;
  return true;
}

}  // namespace sockmesh::model

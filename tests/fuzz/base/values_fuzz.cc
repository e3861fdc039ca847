// Any bytes as an address, a block of addresses, a duration, a number and as text for a message: what is
// accepted says the same when it is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/address.h"
#include "base/strings.h"
#include "base/utf8.h"

using namespace sockmesh;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <typename T>
void check_round_trip(std::string_view text) {
  const auto value = T::parse(text);
  if (!value) return require(!text_fault(printable(value.error().message, 1000)));
  const auto again = T::parse(value->to_string());
  require(again && *again == *value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_round_trip<IpAddress>(text);
  check_round_trip<SocketAddress>(text);
  check_round_trip<Prefix>(text);
  if (const auto duration = parse_duration(text)) require(duration->count() >= 0);
  (void)parse_number<uint16_t>(text);
  (void)parse_number<double>(text);
  const auto fault = text_fault(text);
  require(!fault || fault->offset < size);
  for (const size_t longest : {size_t{0}, size_t{7}, size_t{80}, size + 3}) {
    const std::string shown = printable(text, longest);
    require(!text_fault(shown) && shown.size() <= longest + 3);
    require(shown.find_first_of("\r\n\t") == std::string::npos);
  }
  return 0;
}

#include "lib/net/access_list.h"

#include <algorithm>
#include <tuple>

namespace bsockd {
namespace {

// IPv4 before IPv6, and within each by number.
bool Less(const IpAddress& a, const IpAddress& b) {
  return std::tie(a.v6, a.bytes) < std::tie(b.v6, b.bytes);
}

IpAddress LastOf(const CidrBlock& block) {
  IpAddress last = block.network;
  const int bytes = last.v6 ? 16 : 4;
  for (int i = 0; i < bytes; ++i) {
    const int fixed = std::clamp(block.prefix_bits - i * 8, 0, 8);
    last.bytes[i] |= static_cast<uint8_t>(0xFF >> fixed);
  }
  return last;
}

}  // namespace

AccessList::AccessList(const std::vector<CidrBlock>& blocks) {
  std::vector<Range> sorted;
  sorted.reserve(blocks.size());
  for (const CidrBlock& block : blocks) sorted.push_back({block.network, LastOf(block)});
  // Of blocks that begin alike the largest comes first. Two blocks are apart or one is in the
  // other, so that what is in the last one kept needs no place of its own.
  std::sort(sorted.begin(), sorted.end(), [](const Range& a, const Range& b) {
    return a.first == b.first ? Less(b.last, a.last) : Less(a.first, b.first);
  });
  for (const Range& range : sorted) {
    if (!ranges_.empty() && !Less(ranges_.back().last, range.last)) continue;
    ranges_.push_back(range);
  }
}

bool AccessList::Contains(const IpAddress& address) const {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), address,
      [](const IpAddress& value, const Range& range) { return Less(value, range.first); });
  return after != ranges_.begin() && !Less(std::prev(after)->last, address);
}

}  // namespace bsockd

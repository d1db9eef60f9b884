// AccessList: the blocks of IP addresses of an `allow` or `deny` list, ready for many questions.
//
// Immutable, so any thread may ask.
#pragma once

#include <vector>

#include "lib/net/ip.h"

namespace bsockd {

class AccessList {
 public:
  AccessList() = default;  // Empty: contains nothing.
  explicit AccessList(const std::vector<CidrBlock>& blocks);

  bool empty() const { return ranges_.empty(); }
  // Whether one of the blocks does. A binary search, whatever the blocks are.
  bool Contains(const IpAddress& address) const;

 private:
  struct Range {
    IpAddress first;
    IpAddress last;
  };

  std::vector<Range> ranges_;  // Ascending, without overlap.
};

}  // namespace bsockd

#include "lib/framing/framer.h"

#include "lib/framing/delimiter_framer.h"
#include "lib/framing/fixed_framer.h"
#include "lib/framing/length_framer.h"
#include "lib/framing/netstring_framer.h"
#include "lib/framing/raw_framer.h"
#include "lib/framing/varint_framer.h"

namespace bsockd {

std::unique_ptr<const Framer> MakeFramer(const FramingConfig& config, size_t max_frame) {
  switch (config.kind) {
    case FramingConfig::Kind::kLine:
      return std::make_unique<DelimiterFramer>(std::vector<std::string>{"\n", "\r\n"}, config,
                                               max_frame);
    case FramingConfig::Kind::kDelimiter:
      return std::make_unique<DelimiterFramer>(config.delimiters, config, max_frame);
    case FramingConfig::Kind::kLength:
      return std::make_unique<LengthFramer>(config, max_frame);
    case FramingConfig::Kind::kNetstring:
      return std::make_unique<NetstringFramer>(config, max_frame);
    case FramingConfig::Kind::kVarint:
      return std::make_unique<VarintFramer>(config, max_frame);
    case FramingConfig::Kind::kFixed:
      return std::make_unique<FixedFramer>(config, max_frame);
    case FramingConfig::Kind::kRaw:
      break;
  }
  return std::make_unique<RawFramer>(max_frame);
}

}  // namespace bsockd

#include "lib/framing/framer.h"

#include "lib/framing/delimiter_framer.h"
#include "lib/framing/raw_framer.h"

namespace bsockd {

std::unique_ptr<const Framer> MakeFramer(const FramingConfig& config, size_t max_frame) {
  const bool deliver_rest = config.eof == FramingConfig::AtEof::kDeliver;
  switch (config.kind) {
    case FramingConfig::Kind::kLine:
      return std::make_unique<DelimiterFramer>(std::vector<std::string>{"\n", "\r\n"}, 0,
                                               deliver_rest, max_frame);
    case FramingConfig::Kind::kDelimiter:
      return std::make_unique<DelimiterFramer>(config.delimiters, 0, deliver_rest, max_frame);
    default:
      break;
  }
  return std::make_unique<RawFramer>(max_frame);
}

}  // namespace bsockd

#include "lib/config/length_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/text.h"
#include "lib/config/names.h"

namespace bsockd {
namespace {

constexpr std::string_view kWidthHint = "it is 1, 2, 3, 4 or 8";

std::string LengthHint(std::string_view word) {
  std::vector<std::string_view> names;
  for (const LengthPreset& preset : kLengthPresets) names.push_back(preset.name);
  const std::string_view near = NearestWord(word, names.data(), names.size());
  if (!near.empty()) return fmt::format("did you mean \"{}\"?", near);
  return fmt::format("it is {}, or a map, such as {{width: 2, offset: 1}}", Join(names, "or"));
}

// The bytes of a number, one of the digits `widths`.
void ReadWidth(const Value& value, std::string_view hint, std::string_view widths,
               ValueReader* reader, int* out) {
  const YamlNode& node = *value.node;
  const bool known = node.text.size() == 1 && widths.find(node.text) != widths.npos;
  if (known && !node.quoted) {
    *out = node.text.front() - '0';
  } else {
    reader->Reject(value, fmt::format("{}{}", hint, node.quoted ? ", without quotes" : ""));
  }
}

void ReadLengthMap(const Value& value, ValueReader* reader, LengthFieldConfig* out) {
  bool has_width = false;
  const bool is_map = reader->ReadMap(
      value, {
                 {"width",
                  [&](const Value& v) {
                    has_width = true;
                    ReadWidth(v, kWidthHint, "12348", reader, &out->width);
                  }},
                 {"endian",
                  [&](const Value& v) { reader->ReadName(v, kEndianNames, &out->little_endian); }},
                 {"offset",
                  [&](const Value& v) {
                    reader->ReadInteger(v, size_t{0}, kLengthOffsetMax, &out->offset);
                  }},
                 {"adjust",
                  [&](const Value& v) {
                    reader->ReadInteger(v, -kLengthAdjustMax, kLengthAdjustMax, &out->adjust);
                  }},
                 {"strip",
                  [&](const Value& v) {
                    reader->ReadInteger(v, size_t{0}, kLengthStripMax, &out->strip);
                  }},
             });
  if (is_map && !has_width) {
    reader->errors().Add(value.place, fmt::format("{} has no width ({})", value.name, kWidthHint));
  }
}

}  // namespace

void ReadLength(const Value& value, ValueReader* reader, LengthFieldConfig* out) {
  const YamlNode& node = *value.node;
  if (node.kind == YamlNode::Kind::kMap) return ReadLengthMap(value, reader, out);
  const auto preset =
      std::find_if(std::begin(kLengthPresets), std::end(kLengthPresets),
                   [&](const LengthPreset& candidate) { return candidate.name == node.text; });
  if (preset == std::end(kLengthPresets)) return reader->Reject(value, LengthHint(node.text));
  *out = FieldOf(*preset);
}

void ReadPacket(const Value& value, ValueReader* reader, LengthFieldConfig* out) {
  int width = out->width;
  ReadWidth(value, "it is 1, 2 or 4", "124", reader, &width);
  *out = FieldOf({{}, width, false});
}

}  // namespace bsockd

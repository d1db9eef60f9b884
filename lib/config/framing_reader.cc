#include "lib/config/framing_reader.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/text.h"
#include "lib/config/names.h"

namespace bsockd {
namespace {

constexpr Duration kFlushAfterMin = std::chrono::milliseconds(1);
constexpr std::string_view kDelimiterHint =
    "it is a string or a list of strings, such as [\"\\r\\n\", \"\\n\"]";
constexpr std::string_view kFramingHint = "it is line, raw, {line: lf} or {delimiter: \"...\"}";

enum class LineEnd : uint8_t { kAny, kLf, kCrlf };
constexpr Name<LineEnd> kLineEndNames[] = {
    {"any", LineEnd::kAny}, {"lf", LineEnd::kLf}, {"crlf", LineEnd::kCrlf}};

struct PlacedDelimiter {
  std::string text;
  Place place;
};

// Whether `inner` ends inside `outer`, before its last byte, so that a frame always ends there.
bool EndsInside(std::string_view inner, std::string_view outer) {
  return outer.substr(0, outer.size() - 1).find(inner) != outer.npos;
}

// What is wrong with the delimiter at `index`, or nothing.
std::string FaultOf(const std::vector<PlacedDelimiter>& delimiters, size_t index) {
  const std::string& text = delimiters[index].text;
  if (text.empty()) return "a delimiter cannot be empty";
  if (text.size() > kDelimiterBytesMax) {
    return fmt::format("a delimiter of {} bytes is too long (at most {} bytes)", text.size(),
                       kDelimiterBytesMax);
  }
  for (size_t i = 0; i < delimiters.size(); ++i) {
    const std::string& other = delimiters[i].text;
    if (i < index && other == text) {
      return fmt::format("the delimiter {} is there twice", Quoted(text));
    }
    if (!other.empty() && other != text && EndsInside(other, text)) {
      return fmt::format("the delimiter {} can never match, because {} ends inside it",
                         Quoted(text), Quoted(other));
    }
  }
  return {};
}

void ReadDelimiters(const Value& value, ValueReader* reader, std::vector<std::string>* out) {
  std::vector<PlacedDelimiter> delimiters;
  reader->ReadOneOrList(value, kDelimiterHint, [&](const Value& item) {
    std::string text;
    if (reader->ReadString(item, kDelimiterHint, &text)) {
      delimiters.push_back({std::move(text), item.place});
    }
  });
  if (delimiters.size() > kDelimitersMax) {
    reader->errors().Add(value.place, fmt::format("{} delimiters are too many (at most {})",
                                                  delimiters.size(), kDelimitersMax));
    return;
  }
  out->clear();
  for (size_t i = 0; i < delimiters.size(); ++i) {
    if (std::string fault = FaultOf(delimiters, i); !fault.empty()) {
      reader->errors().Add(delimiters[i].place, std::move(fault));
    }
    out->push_back(delimiters[i].text);
  }
}

void ReadFramingWord(const Value& value, ValueReader* reader, FramingConfig* out) {
  const std::string& word = value.node->text;
  constexpr std::string_view kWords[] = {"line", "raw"};
  if (word == "line") {
    out->kind = FramingConfig::Kind::kLine;
  } else if (word == "raw") {
    out->kind = FramingConfig::Kind::kRaw;
  } else if (word == "delimiter") {
    reader->Reject(value, "write {delimiter: \"...\"}");
  } else if (const std::string_view near = NearestWord(word, kWords, std::size(kWords));
             !near.empty()) {
    reader->Reject(value, fmt::format("did you mean \"{}\"?", near));
  } else {
    reader->Reject(value, kFramingHint);
  }
}

// Reads a map, which says what the framing is by the presence of one key.
class FramingMap {
 public:
  FramingMap(const Value& value, ValueReader* reader, FramingConfig* out)
      : value_(value), reader_(*reader), out_(*out) {}

  void Read() {
    const bool is_map =
        reader_.ReadMap(value_, {
                                    {"line", [this](const Value& v) { ReadLine(v); }},
                                    {"delimiter", [this](const Value& v) { ReadDelimiter(v); }},
                                    {"raw", [this](const Value& v) { ReadRaw(v); }},
                                    {"flush_after", [this](const Value& v) { ReadFlushAfter(v); }},
                                    {"eof", [this](const Value& v) { ReadEof(v); }},
                                });
    if (!is_map) return;
    if (kinds_ == 0) {
      reader_.errors().Add(value_.place, fmt::format("{} says neither line nor delimiter ({})",
                                                     value_.name, kFramingHint));
    }
    if (!raw_) return;
    for (const Value& option : options_) {
      reader_.errors().Add(option.key_place,
                           fmt::format("{} has no meaning with raw", option.name));
    }
  }

 private:
  // A key that says what the framing is; the first one counts.
  bool BeginKind(const Value& value) {
    ++kinds_;
    if (first_kind_.empty()) first_kind_ = value.name;
    if (first_kind_ == value.name) return true;
    reader_.errors().Add(value.key_place, fmt::format("{} has both {} and {} (keep one)",
                                                      value_.name, first_kind_, value.name));
    return false;
  }

  void ReadLine(const Value& value) {
    const bool counts = BeginKind(value);
    LineEnd end = LineEnd::kAny;
    if (!reader_.ReadName(value, kLineEndNames, &end) || !counts) return;
    out_.kind = end == LineEnd::kAny ? FramingConfig::Kind::kLine : FramingConfig::Kind::kDelimiter;
    if (end == LineEnd::kLf) out_.delimiters = {"\n"};
    if (end == LineEnd::kCrlf) out_.delimiters = {"\r\n"};
  }

  void ReadDelimiter(const Value& value) {
    const bool counts = BeginKind(value);
    std::vector<std::string> delimiters;
    ReadDelimiters(value, &reader_, &delimiters);
    if (!counts) return;
    out_.kind = FramingConfig::Kind::kDelimiter;
    out_.delimiters = std::move(delimiters);
  }

  void ReadRaw(const Value& value) {
    if (!BeginKind(value)) return;
    raw_ = true;
    reader_.errors().Add(value.key_place,
                         fmt::format("raw takes nothing (write {}: raw)", value_.name));
  }

  void ReadFlushAfter(const Value& value) {
    options_.push_back(value);
    if (value.node->kind == YamlNode::Kind::kScalar && value.node->text == "off") {
      out_.flush_after.reset();
      return;
    }
    Duration duration;
    if (reader_.ReadDuration(value, kFlushAfterMin, kDurationMax, &duration)) {
      out_.flush_after = duration;
    }
  }

  void ReadEof(const Value& value) {
    options_.push_back(value);
    reader_.ReadName(value, kAtEofNames, &out_.eof);
  }

  const Value& value_;
  ValueReader& reader_;
  FramingConfig& out_;
  std::vector<Value> options_;
  std::string_view first_kind_;
  int kinds_ = 0;
  bool raw_ = false;
};

}  // namespace

void ReadFraming(const Value& value, ValueReader* reader, FramingConfig* out) {
  switch (value.node->kind) {
    case YamlNode::Kind::kScalar:
      return ReadFramingWord(value, reader, out);
    case YamlNode::Kind::kMap:
      return FramingMap(value, reader, out).Read();
    case YamlNode::Kind::kNull:
    case YamlNode::Kind::kSequence:
      return reader->Reject(value, kFramingHint);
  }
}

}  // namespace bsockd

#include "lib/config/framing_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/text.h"
#include "lib/config/length_reader.h"
#include "lib/config/names.h"

namespace bsockd {
namespace {

constexpr Duration kFlushAfterMin = std::chrono::milliseconds(1);
constexpr std::string_view kDelimiterHint =
    "it is a string or a list of strings, such as [\"\\r\\n\", \"\\n\"]";
constexpr std::string_view kFramingHint =
    "it is line, netstring, varint, raw, {line: lf}, {delimiter: \"...\"}, {length: u32be}, "
    "{packet: 4} or {fixed: 128}";
constexpr size_t kFixedBytesMin = 1;

// What a word alone is, or what to write where one alone says too little.
struct FramingWord {
  std::string_view word;
  FramingConfig::Kind kind;
  std::string_view write;
};
constexpr FramingWord kFramingWords[] = {
    {"line", FramingConfig::Kind::kLine, {}},
    {"netstring", FramingConfig::Kind::kNetstring, {}},
    {"varint", FramingConfig::Kind::kVarint, {}},
    {"raw", FramingConfig::Kind::kRaw, {}},
    {"delimiter", FramingConfig::Kind::kDelimiter, "{delimiter: \"...\"}"},
    {"length", FramingConfig::Kind::kLength, "{length: u32be}"},
    {"packet", FramingConfig::Kind::kLength, "{packet: 4}"},
    {"fixed", FramingConfig::Kind::kFixed, "{fixed: 128}"}};

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

// Reads one framing, which a word says, or the presence of one key in a map.
class FramingReader {
 public:
  enum class Use : uint8_t { kListener, kReplies, kAlone };

  FramingReader(Use use, ValueReader* reader) : use_(use), reader_(*reader) {}

  // The value of `framing:` or `reply_framing:`; at most once.
  void Read(const Value& value) {
    if (value.node->kind == YamlNode::Kind::kMap) return ReadMap(value);
    if (value.node->kind == YamlNode::Kind::kScalar) return ReadWord(value);
    reader_.Reject(value, kFramingHint);
    kind_name_ = {};
  }

  // An option that stands beside `framing:`; after Read().
  void ReadBeside(const Value& option) {
    const bool inside = std::any_of(options_.begin(), options_.end(),
                                    [&](const Value& other) { return other.name == option.name; });
    if (inside) {
      reader_.errors().Add(option.key_place,
                           fmt::format("{} is in framing already (keep one)", option.name));
    }
    beside_.push_back(option);
    ReadOption(option);
  }

  PlacedFraming Finish() {
    for (const Value& option : options_) CheckMeaning(option);
    for (const Value& option : beside_) CheckMeaning(option);
    return std::move(result_);
  }

 private:
  using Kind = FramingConfig::Kind;

  void ReadWord(const Value& value) {
    const std::string& word = value.node->text;
    const auto found =
        std::find_if(std::begin(kFramingWords), std::end(kFramingWords),
                     [&](const FramingWord& candidate) { return candidate.word == word; });
    if (found != std::end(kFramingWords) && found->write.empty()) {
      kind_name_ = found->word;
      result_.requests.kind = found->kind;
      return;
    }
    kind_name_ = {};
    reader_.Reject(value, found != std::end(kFramingWords) ? fmt::format("write {}", found->write)
                                                           : HintFor(word));
  }

  static std::string HintFor(std::string_view word) {
    for (const LengthPreset& preset : kLengthPresets) {
      if (preset.name == word) return fmt::format("write {{length: {}}}", word);
    }
    std::vector<std::string_view> words;
    for (const FramingWord& candidate : kFramingWords) words.push_back(candidate.word);
    const std::string_view near = NearestWord(word, words.data(), words.size());
    return near.empty() ? std::string(kFramingHint) : fmt::format("did you mean \"{}\"?", near);
  }

  void ReadMap(const Value& value) {
    kind_name_ = {};
    map_name_ = value.name;
    const auto option = [this](const Value& v) {
      options_.push_back(v);
      ReadOption(v);
    };
    const bool is_map = reader_.ReadMap(
        value, {
                   {"line", [this](const Value& v) { ReadLine(v); }},
                   {"delimiter", [this](const Value& v) { ReadDelimiter(v); }},
                   {"length", [this](const Value& v) { ReadLengthKey(v, ReadLength); }},
                   {"packet", [this](const Value& v) { ReadLengthKey(v, ReadPacket); }},
                   {"netstring", [this](const Value& v) { ReadBare(v, Kind::kNetstring); }},
                   {"varint", [this](const Value& v) { ReadBare(v, Kind::kVarint); }},
                   {"fixed", [this](const Value& v) { ReadFixed(v); }},
                   {"raw", [this](const Value& v) { ReadBare(v, Kind::kRaw); }},
                   {"flush_after", option},
                   {"eof", option},
                   {"overlong", option},
                   {"reply_framing", option},
               });
    if (is_map && kind_name_.empty()) {
      reader_.errors().Add(value.place, fmt::format("{} does not say what a frame is ({})",
                                                    value.name, kFramingHint));
    }
  }

  // A key that says what the framing is; the first one counts.
  bool BeginKind(const Value& value, Kind kind) {
    if (kind_name_.empty()) {
      kind_name_ = value.name;
      result_.requests.kind = kind;
    }
    if (kind_name_ == value.name) return true;
    reader_.errors().Add(value.key_place, fmt::format("{} has both {} and {} (keep one)", map_name_,
                                                      kind_name_, value.name));
    return false;
  }

  void ReadLine(const Value& value) {
    const bool counts = BeginKind(value, Kind::kLine);
    LineEnd end = LineEnd::kAny;
    if (!reader_.ReadName(value, kLineEndNames, &end) || !counts) return;
    result_.requests.kind = end == LineEnd::kAny ? Kind::kLine : Kind::kDelimiter;
    if (end == LineEnd::kLf) result_.requests.delimiters = {"\n"};
    if (end == LineEnd::kCrlf) result_.requests.delimiters = {"\r\n"};
  }

  void ReadDelimiter(const Value& value) {
    const bool counts = BeginKind(value, Kind::kDelimiter);
    std::vector<std::string> delimiters;
    ReadDelimiters(value, &reader_, &delimiters);
    if (counts) result_.requests.delimiters = std::move(delimiters);
  }

  void ReadLengthKey(const Value& value,
                     void (*read)(const Value&, ValueReader*, LengthFieldConfig*)) {
    const bool counts = BeginKind(value, Kind::kLength);
    LengthFieldConfig length;
    read(value, &reader_, &length);
    if (counts) result_.requests.length = length;
  }

  void ReadFixed(const Value& value) {
    const bool counts = BeginKind(value, Kind::kFixed);
    size_t bytes;
    if (!reader_.ReadSize(value, kFixedBytesMin, kMaxFrameMax, &bytes) || !counts) return;
    result_.requests.fixed_bytes = bytes;
    result_.fixed = value.place;
  }

  // A framing that its name says all of.
  void ReadBare(const Value& value, FramingConfig::Kind kind) {
    if (!BeginKind(value, kind)) return;
    if (value.node->text.empty() && value.node->children.empty()) return;
    reader_.errors().Add(value.key_place, fmt::format("{} takes nothing (write {}: {})", value.name,
                                                      map_name_, value.name));
  }

  void ReadOption(const Value& value) {
    FramingConfig& requests = result_.requests;
    if (value.name == "eof") {
      reader_.ReadName(value, kAtEofNames, &requests.eof);
    } else if (value.name == "overlong") {
      reader_.ReadName(value, kOverlongNames, &requests.overlong);
    } else if (value.name == "flush_after") {
      ReadFlushAfter(value);
    } else if (use_ == Use::kListener) {
      FramingReader replies(Use::kReplies, &reader_);
      replies.Read(value);
      result_.replies = replies.Finish().requests;
    }
  }

  void ReadFlushAfter(const Value& value) {
    if (value.node->kind == YamlNode::Kind::kScalar && value.node->text == "off") {
      result_.requests.flush_after.reset();
      return;
    }
    Duration duration;
    if (reader_.ReadDuration(value, kFlushAfterMin, kDurationMax, &duration)) {
      result_.requests.flush_after = duration;
    }
  }

  void CheckMeaning(const Value& option) {
    if (use_ == Use::kReplies) {
      reader_.errors().Add(
          option.key_place,
          fmt::format("{} has no meaning in reply_framing (leave it out)", option.name));
    } else if (option.name == "reply_framing") {
      if (use_ != Use::kAlone) return;
      reader_.errors().Add(option.key_place,
                           "reply_framing cannot stand here (it has its own option)");
    } else if (!kind_name_.empty() && !HasMeaning(option.name)) {
      reader_.errors().Add(option.key_place, fmt::format("{} has no meaning with {} (leave it out)",
                                                         option.name, kind_name_));
    }
  }

  bool HasMeaning(std::string_view option) const {
    const Kind kind = result_.requests.kind;
    if (option == "flush_after") return kind == Kind::kLine || kind == Kind::kDelimiter;
    return kind != Kind::kRaw;
  }

  const Use use_;
  ValueReader& reader_;
  PlacedFraming result_;
  std::vector<Value> options_;  // Within the framing's map.
  std::vector<Value> beside_;
  std::string_view map_name_;
  std::string_view kind_name_ = "line";  // Empty if it is not known.
};

}  // namespace

PlacedFraming ReadListenerFraming(const Value* framing, std::span<const Value> beside,
                                  ValueReader* reader) {
  FramingReader framing_reader(FramingReader::Use::kListener, reader);
  if (framing != nullptr) framing_reader.Read(*framing);
  for (const Value& option : beside) framing_reader.ReadBeside(option);
  return framing_reader.Finish();
}

FramingConfig ReadFraming(const Value& value, ValueReader* reader) {
  FramingReader framing_reader(FramingReader::Use::kAlone, reader);
  framing_reader.Read(value);
  return framing_reader.Finish().requests;
}

}  // namespace bsockd

// The examples of docs/protocol.md are true: each is parsed and run through the framers, in every
// cut.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"
#include "tests/fuzz/framing_driver.h"

namespace bsockd::testing {
namespace {

constexpr size_t kMaxFrame = 1000;
constexpr std::string_view kBegin = "\n```frames\n";

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> Blocks(const std::string& markdown) {
  std::vector<std::string> blocks;
  for (size_t at = markdown.find(kBegin); at != markdown.npos; at = markdown.find(kBegin, at)) {
    at += kBegin.size();
    blocks.push_back(markdown.substr(at, markdown.find("```", at) - at));
  }
  return blocks;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// What one line of an example says, item by item.
class ItemReader {
 public:
  explicit ItemReader(std::string_view text) : text_(text) {}

  struct Item {
    enum class Kind { kBytes, kWord, kBar } kind = Kind::kBytes;
    std::string text;
  };

  // Nothing at the end; fails the test at what it cannot read.
  std::optional<Item> Next() {
    text_.remove_prefix(std::min(text_.find_first_not_of(' '), text_.size()));
    if (text_.empty()) return std::nullopt;
    if (text_.front() == '"') return Item{Item::Kind::kBytes, Quoted()};
    const std::string word(text_.substr(0, text_.find(' ')));
    text_.remove_prefix(word.size());
    if (word == "|") return Item{Item::Kind::kBar, word};
    if (word.size() == 2 && HexDigit(word[0]) >= 0 && HexDigit(word[1]) >= 0) {
      return Item{Item::Kind::kBytes,
                  std::string(1, static_cast<char>(HexDigit(word[0]) * 16 + HexDigit(word[1])))};
    }
    return Item{Item::Kind::kWord, word};
  }

 private:
  std::string Quoted() {
    std::string out;
    size_t i = 1;
    for (; i < text_.size() && text_[i] != '"'; ++i) {
      if (text_[i] != '\\') {
        out += text_[i];
        continue;
      }
      constexpr std::string_view kEscapes = "rn\\\"";
      const size_t escape = kEscapes.find(text_[++i]);
      EXPECT_NE(escape, kEscapes.npos) << text_;
      out += "\r\n\\\""[escape];
    }
    EXPECT_LT(i, text_.size()) << "no closing quote";
    text_.remove_prefix(std::min(i + 1, text_.size()));
    return out;
  }

  std::string_view text_;
};

struct Example {
  std::optional<FramingConfig> framing;
  std::optional<FramingConfig> reply_framing;
  FramingCase test;
  std::vector<std::string> frames;  // An error is its word, after a NUL.
  std::vector<std::string> replies;
};

constexpr char kErrorMark = '\0';

std::string ErrorWord(FrameError error) {
  switch (error) {
    case FrameError::kOverlong:
      return "overlong";
    case FrameError::kMalformed:
      return "malformed";
    case FrameError::kTruncated:
      return "truncated";
  }
  return "";
}

std::vector<std::string> ReadList(std::string_view text) {
  ItemReader reader(text);
  std::vector<std::string> list = {""};
  while (const auto item = reader.Next()) {
    if (item->kind == ItemReader::Item::Kind::kBar) {
      list.emplace_back();
    } else if (item->text == "none") {
      return {};
    } else if (item->kind == ItemReader::Item::Kind::kWord) {
      list.back() = kErrorMark + item->text;
    } else {
      list.back() += item->text;
    }
  }
  return list;
}

void ReadStream(std::string_view text, FramingCase* test) {
  ItemReader reader(text);
  while (const auto item = reader.Next()) {
    if (item->kind == ItemReader::Item::Kind::kBytes) {
      test->stream += item->text;
    } else {
      EXPECT_EQ(item->text, "silence");
      test->silences.push_back(test->stream.size());
    }
  }
}

std::optional<FramingConfig> ReadFraming(std::string_view yaml) {
  const absl::StatusOr<FramingConfig> framing = ParseFraming(yaml);
  EXPECT_TRUE(framing.ok()) << framing.status();
  return framing.ok() ? std::optional(*framing) : std::nullopt;
}

Example ReadExample(std::string_view block) {
  Example example;
  example.test.max_frame = kMaxFrame;
  while (!block.empty()) {
    const std::string_view line = block.substr(0, block.find('\n'));
    block.remove_prefix(line.size() + 1);
    const size_t colon = std::min(line.find(": "), line.size() - 1);
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = line.substr(std::min(colon + 2, line.size()));
    if (key == "framing") {
      example.framing = ReadFraming(value);
    } else if (key == "reply_framing") {
      example.reply_framing = ReadFraming(value);
    } else if (key == "max_frame") {
      example.test.max_frame = std::stoul(std::string(value));
    } else if (key == "bytes") {
      ReadStream(value, &example.test);
    } else if (key == "frames") {
      example.frames = ReadList(value);
    } else if (key == "replies") {
      example.replies = ReadList(value);
    } else {
      ADD_FAILURE() << "unknown key in: " << line;
    }
  }
  return example;
}

TEST(ProtocolMdTest, ItsExamplesAreTrue) {
  const std::vector<std::string> blocks = Blocks(Contents("docs/protocol.md"));
  EXPECT_GE(blocks.size(), 30u);
  for (const std::string& block : blocks) {
    SCOPED_TRACE(block);
    Example example = ReadExample(block);
    if (!example.framing) {
      ADD_FAILURE() << "no framing";
      continue;
    }
    example.test.framing = *example.framing;
    const auto framer = MakeFramer(*example.framing, example.test.max_frame);
    const auto reply_framer =
        MakeFramer(example.reply_framing.value_or(*example.framing), kMaxFrame);
    std::vector<std::string> frames;
    std::vector<std::string> replies;
    std::string problem;
    for (const Event& event : Feed(*framer, example.test, {}, &problem)) {
      if (event.error.has_value()) {
        frames.push_back(kErrorMark + ErrorWord(*event.error));
        replies.push_back(frames.back());
        continue;
      }
      frames.emplace_back(event.payload);
      std::string& reply = replies.emplace_back();
      const size_t start = reply_framer->BeginFrame(&reply);
      reply += event.payload;
      const FrameEnding ending =
          example.reply_framing ? reply_framer->canonical_ending() : event.ending;
      EXPECT_TRUE(reply_framer->EndFrame(start, ending, &reply).ok());
    }
    EXPECT_EQ(problem, "");
    EXPECT_EQ(frames, example.frames);
    EXPECT_EQ(replies, example.replies);
    EXPECT_EQ(CheckEveryCut(example.test), "");
  }
}

}  // namespace
}  // namespace bsockd::testing

#include "lib/config/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <sstream>
#include <utility>

#include "lib/base/utf8.h"
#include "lib/config/yaml_text.h"

namespace bsockd {
namespace {

// Thrown through the library, from one of its events to ReadYaml, to give up reading.
struct GivenUp {
  Place place;
  std::string message;
};

GivenUp UnclosedQuote(Place place) { return {place, "not valid YAML: the quote is never closed"}; }

Place FromMark(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// The library writes the escapes \N and \_ as the bytes 85 and A0 alone, which are not UTF-8; they
// mean U+0085 and U+00A0. The text of the file is UTF-8, so nothing else can be ill-formed here.
std::string Mended(std::string_view value) {
  const auto ascii =
      std::find_if(value.begin(), value.end(), [](char c) { return (c & 0x80) != 0; });
  std::string mended(value.begin(), ascii);
  value.remove_prefix(mended.size());
  while (!value.empty()) {
    size_t bytes = DecodeUtf8(value).bytes;
    if (bytes == 0) {
      mended.push_back('\xC2');
      bytes = 1;
    }
    mended.append(value.substr(0, bytes));
    value.remove_prefix(bytes);
  }
  return mended;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const YamlText& text, YamlDocument* document, ErrorList* errors)
      : text_(text), document_(document), errors_(errors) {}

  // Where the last quoted scalar begins, if it goes on to the end of the text. The library takes
  // that for its end; no other scalar than the last can be like that.
  Place UnclosedQuote() const {
    return last_quoted_ == nullptr ? Place() : text_.UnclosedQuote(last_quoted_->place);
  }

  // The innermost [ or { whose end has not come, or {0, 0}.
  Place OpenBracket() const {
    for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
      const char c = text_.At(open->node->place);
      if (c == '[' || c == '{') return open->node->place;
    }
    return {};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    const Place place = FromMark(mark);
    if (text_.Line(place.line).substr(0, 3) == "---") {
      throw GivenUp{place, "a second document (a configuration is one document; remove the ---)"};
    }
    throw GivenUp{place,
                  "not valid YAML: this does not belong to what stands above it (look at its "
                  "indentation)"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(YamlNode::Kind::kNull, mark, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Place place = FromMark(mark);
    const Anchored target = anchor < anchors_.size() ? anchors_[anchor] : Anchored();
    if (target.node == nullptr || target.open) {
      throw GivenUp{place, "this alias stands inside what it stands for"};
    }
    Spend(target.weight, place);
    YamlNode copy = *target.node;
    copy.place = place;
    Append(std::move(copy));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Spend(value.size(), FromMark(mark));
    YamlNode* node = Add(YamlNode::Kind::kScalar, mark, anchor);
    node->text = Mended(value);
    node->quoted = tag == "!";
    if (node->quoted) last_quoted_ = node;
    CheckTag(*node, tag);
    if (anchor != YAML::NullAnchor) anchors_[anchor].weight += value.size();
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(YamlNode::Kind::kSequence, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor, style);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Anchored {
    const YamlNode* node = nullptr;
    size_t weight = 0;
    bool open = false;  // A collection whose end has not come.
  };
  struct OpenCollection {
    YamlNode* node;
    YAML::anchor_t anchor;
    size_t spent_before;
    bool block;  // Not between braces or brackets.
  };

  void Spend(size_t weight, Place place) {
    spent_ += weight;
    if (spent_ > kYamlExpandedMax) {
      throw GivenUp{place, fmt::format("with this alias the file expands to more than {} MiB",
                                       kYamlExpandedMax >> 20)};
    }
  }

  YamlNode* Append(YamlNode node) {
    document_->nodes.push_back(std::move(node));
    YamlNode* added = &document_->nodes.back();
    if (open_.empty()) {
      document_->root = added;
    } else {
      open_.back().node->children.push_back(added);
    }
    return added;
  }

  YamlNode* Add(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    YamlNode node;
    node.kind = kind;
    node.place = FromMark(mark);
    if (open_.empty() || open_.back().block) CheckIndentation(node.place);
    Spend(1, node.place);
    YamlNode* added = Append(std::move(node));
    if (anchor != YAML::NullAnchor) {
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
      anchors_[anchor] = {added, 1, false};
    }
    return added;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor, YAML::EmitterStyle::value style) {
    if (open_.size() >= kYamlDepthMax) {
      throw GivenUp{FromMark(mark),
                    fmt::format("more than {} collections in each other", kYamlDepthMax)};
    }
    const size_t spent_before = spent_;
    YamlNode* node = Add(kind, mark, anchor);
    CheckTag(*node, tag);
    if (anchor != YAML::NullAnchor) anchors_[anchor].open = true;
    open_.push_back({node, anchor, spent_before, style != YAML::EmitterStyle::Flow});
  }

  void Close() {
    const OpenCollection& closed = open_.back();
    if (closed.anchor != YAML::NullAnchor) {
      anchors_[closed.anchor] = {closed.node, spent_ - closed.spent_before, false};
    }
    open_.pop_back();
  }

  // "?" is no tag, "!" marks a string that is quoted.
  void CheckTag(const YamlNode& node, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    errors_->Add(node.place, "tags are not used here (put what is to be a string in quotes)");
  }

  // The library takes a tab before a value for indentation in some places and refuses it in others.
  void CheckIndentation(Place place) {
    if (place.line == checked_line_) return;
    checked_line_ = place.line;
    if (const int column = text_.TabInIndentation(place.line); column != 0) {
      throw GivenUp{{place.line, column}, std::string(kTabMessage)};
    }
  }

  const YamlText& text_;
  YamlDocument* const document_;
  ErrorList* const errors_;
  std::vector<OpenCollection> open_;
  std::vector<Anchored> anchors_;  // By the library's numbers, which count from 1.
  const YamlNode* last_quoted_ = nullptr;
  size_t spent_ = 0;
  int checked_line_ = 0;
  int documents_ = 0;
};

// What the library's terse messages mean to someone who wrote a configuration.
std::string_view Explain(std::string_view message) {
  namespace msg = YAML::ErrorMsg;
  struct Explanation {
    std::string_view message;
    std::string_view meaning;
  };
  constexpr std::string_view kAlias =
      "no anchor has this name (a value that begins with * goes in quotes: \"*:51717\")";
  constexpr std::string_view kMisfit =
      "this does not fit what stands before it (look at the indentation, and for a quote too many)";
  const Explanation explanations[] = {
      {msg::UNKNOWN_ANCHOR, kAlias},
      {msg::ALIAS_NOT_FOUND, kAlias},
      {msg::CHAR_IN_ALIAS, kAlias},
      {msg::UNKNOWN_TOKEN, "a value cannot begin with this character (put it in quotes)"},
      {msg::MAP_VALUE,
       "no key can stand here (look at the indentation; a value with \": \" in it goes in quotes)"},
      {msg::MAP_KEY, "no key can stand here (look at the indentation)"},
      {msg::BLOCK_ENTRY, "no list item can stand here (begin the list on a new line)"},
      {msg::END_OF_MAP, kMisfit},
      {msg::END_OF_SEQ, kMisfit},
      {msg::FLOW_END, "nothing is open that this closes"},
      {msg::DOC_IN_SCALAR, "a value in quotes cannot go on here (is the quote not closed?)"},
  };
  for (const Explanation& explanation : explanations) {
    if (message == explanation.message) return explanation.meaning;
  }
  return message;
}

// The error for an exception of the library. Some mistakes show only where they make something else
// impossible; what is likelier to be the reason goes first.
GivenUp FromException(const YAML::Exception& exception, const YamlText& text,
                      const TreeBuilder& builder) {
  const Place place = exception.mark.is_null() ? Place{1, 1} : text.Clamp(FromMark(exception.mark));
  if (const int column = text.TabInIndentation(place.line); column != 0) {
    return {{place.line, column}, std::string(kTabMessage)};
  }
  if (const Place quote = builder.UnclosedQuote(); quote.line != 0) return UnclosedQuote(quote);
  const std::string_view message = exception.msg;
  const bool end_of_flow =
      message == YAML::ErrorMsg::END_OF_MAP_FLOW || message == YAML::ErrorMsg::END_OF_SEQ_FLOW;
  if (const Place bracket = builder.OpenBracket(); end_of_flow && bracket.line != 0) {
    return {place, fmt::format("not valid YAML: the {} on line {} is not closed, or a comma is "
                               "missing before this",
                               text.At(bracket), bracket.line)};
  }
  const char before = text.At({place.line, place.column - 1});
  if (message == YAML::ErrorMsg::END_OF_MAP && (before == ']' || before == '}')) {
    return {place,
            fmt::format("not valid YAML: nothing can follow the {} (a value that begins with "
                        "a bracket goes in quotes: \"[::1]:51717\")",
                        before)};
  }
  return {place, fmt::format("not valid YAML: {}", Explain(message))};
}

// Parses into `*document`; throws GivenUp for every error but tags.
void Parse(std::string_view yaml, const YamlText& text, YamlDocument* document, ErrorList* errors) {
  TreeBuilder builder(text, document, errors);
  // With a newline at the end, the library reports a quote left open in one way only: as closed by
  // the end of the file.
  std::istringstream stream(fmt::format("{}\n", yaml));
  try {
    YAML::Parser parser(stream);
    // A second document makes the builder give up.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& exception) {
    throw FromException(exception, text, builder);
  } catch (const std::exception& exception) {
    throw GivenUp{{0, 0}, fmt::format("cannot read this YAML: {}", exception.what())};
  }
  if (const Place quote = builder.UnclosedQuote(); quote.line != 0) throw UnclosedQuote(quote);
}

}  // namespace

YamlDocument ReadYaml(std::string_view yaml, ErrorList* errors) {
  YamlDocument document;
  if (yaml.size() > kConfigBytesMax) {
    errors->Add({}, fmt::format("the file is larger than {} MiB", kConfigBytesMax >> 20));
    return document;
  }
  const YamlText text(yaml);
  try {
    if (const TextError error = text.Check(); error.place.line != 0) {
      throw GivenUp{error.place, std::string(error.message)};
    }
    Parse(yaml, text, &document, errors);
  } catch (GivenUp& error) {
    errors->Add(error.place, std::move(error.message));
    document.root = nullptr;
  }
  return document;
}

}  // namespace bsockd

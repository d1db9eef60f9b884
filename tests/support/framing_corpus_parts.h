// The parts of the framing corpus, and what they are written with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/framing_corpus.h"

namespace bsockd::testing {

void AddDelimitedCases(std::vector<CorpusCase>* corpus);  // line, delimiter
void AddLengthCases(std::vector<CorpusCase>* corpus);     // length, packet
void AddCountedCases(std::vector<CorpusCase>* corpus);    // netstring, varint, fixed

using Cases = std::vector<CorpusCase>;
using Answers = std::vector<CorpusAnswer>;

inline constexpr size_t kPlenty = 4096;

inline std::string Times(size_t count, std::string_view text) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

inline std::string BigEndian(size_t width, uint64_t number) {
  std::string out;
  for (size_t i = width; i-- > 0;) out += static_cast<char>(number >> (8 * i));
  return out;
}

inline std::string LittleEndian(size_t width, uint64_t number) {
  const std::string big = BigEndian(width, number);
  return {big.rbegin(), big.rend()};
}

inline std::string Netstring(const std::string& text) {
  return std::to_string(text.size()) + ":" + text + ",";
}

inline CorpusAnswer Error(std::string code) { return {"", "", std::move(code)}; }

// A payload whose reply is nothing but itself.
inline CorpusAnswer Bare(std::string payload) { return {payload, payload, ""}; }

inline CorpusAnswer Ended(const std::string& payload, const std::string& ending) {
  return {payload, payload + ending, ""};
}

inline CorpusAnswer AsNetstring(const std::string& payload) {
  return {payload, Netstring(payload), ""};
}

inline CorpusAnswer After(const std::string& header, const std::string& payload) {
  return {payload, header + payload, ""};
}

inline void Add(Cases cases, Cases* corpus) {
  corpus->insert(corpus->end(), cases.begin(), cases.end());
}

}  // namespace bsockd::testing

// From YAML text to a tree of nodes with their places. The only file that knows the YAML library.
//
// Why not the library's own tree: it loses the places of keys and drops duplicate keys, and aliases
// in it can stand for exponentially much.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/error.h"

namespace bsockd {

inline constexpr size_t kConfigBytesMax = 1 << 20;  // Of a whole file.
inline constexpr size_t kYamlDepthMax = 64;         // Of collections in each other.
// Nodes plus bytes of scalars, with every alias counted as what it stands for.
inline constexpr size_t kYamlExpandedMax = 8 << 20;

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  bool quoted = false;  // A scalar that is a string whatever it looks like.
  Place place;
  std::string text;  // Of a scalar, in UTF-8.
  // A sequence's items; a map's keys and values in turn, in the file's order, duplicates included.
  std::vector<const YamlNode*> children;
};

// Owns its nodes. An alias is a copy of the node that it stands for, at its own place, with the
// same children: the nodes form no cycle, and walking all of them visits at most kYamlExpandedMax.
struct YamlDocument {
  std::deque<YamlNode> nodes;
  const YamlNode* root = nullptr;  // Null where the text holds no node, or after an error.
};

// Reads the one document in `text`, which is without a byte order mark. Errors go to `*errors`: one
// if it is not YAML, one for each tag (none is used here). Never throws.
YamlDocument ReadYaml(std::string_view text, ErrorList* errors);

}  // namespace bsockd

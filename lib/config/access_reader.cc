#include "lib/config/access_reader.h"

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/text.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr std::string_view kBlocksHint =
    "it is an address or a block of them, or a list, such as [127.0.0.1, 10.0.0.0/8]";

// The largest uid_t and gid_t but for -1, which stands for none (chown(2)).
constexpr int64_t kIdMax = 0xFFFFFFFE;
constexpr size_t kAccountBytesMax = 256;  // LOGIN_NAME_MAX of Linux.

// One value or each of a list, which may be empty. `read` says whether its item was right.
bool ReadList(const Value& value, std::string_view hint, ValueReader* reader,
              const std::function<bool(const Value&)>& read) {
  const YamlNode& node = *value.node;
  if (node.kind == YamlNode::Kind::kSequence) {
    if (node.children.empty()) return true;
    if (node.children.size() > kAccessListMax) {
      reader->errors().Add(value.place,
                           fmt::format("{} entries in {} are too many (at most {})",
                                       node.children.size(), value.name, kAccessListMax));
      return false;
    }
  }
  bool ok = true;
  const bool is_list =
      reader->ReadOneOrList(value, hint, [&](const Value& item) { ok &= read(item); });
  return is_list && ok;
}

// Whether a user or a group could have this name: whatever /etc/passwd can hold in a field, and
// nothing that a reader could not see.
bool IsAccountName(std::string_view text) {
  return !text.empty() && text.size() <= kAccountBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > ' ' && byte != 0x7F && c != ':' && c != ',' && c != '/';
         });
}

// A user or a group, by name or number; a number in the form that all ways to write it share.
bool ReadAccount(const Value& value, std::string_view hint, ValueReader* reader, std::string* out) {
  const std::string& text = value.node->text;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  if (digits) {
    const absl::StatusOr<int64_t> number = ParseInteger(text, 0, kIdMax);
    if (number.ok()) {
      *out = std::to_string(*number);
    } else {
      reader->Reject(value, MessageOf(number.status()));
    }
    return number.ok();
  }
  const bool string = value.node->quoted || PlainTypeOf(text) == PlainType::kString;
  if (!string || !IsAccountName(text)) {
    reader->Reject(value, hint);
    return false;
  }
  *out = text;
  return true;
}

bool ReadAccounts(const Value& value, std::string_view hint, ValueReader* reader,
                  std::vector<std::string>* out) {
  std::vector<std::string> accounts;
  const bool ok = ReadList(value, hint, reader, [&](const Value& item) {
    return ReadAccount(item, hint, reader, &accounts.emplace_back());
  });
  if (ok) *out = std::move(accounts);
  return ok;
}

}  // namespace

bool ReadBlocks(const Value& value, ValueReader* reader, Limit<std::vector<CidrBlock>>* out) {
  return reader->ReadLimit(value, out, [&](const Value& list, std::vector<CidrBlock>* blocks) {
    return ReadList(list, kBlocksHint, reader, [&](const Value& item) {
      const absl::StatusOr<CidrBlock> block = CidrBlock::Parse(item.node->text);
      if (block.ok()) {
        blocks->push_back(*block);
      } else {
        reader->Reject(item, MessageOf(block.status()));
      }
      return block.ok();
    });
  });
}

bool ReadPeer(const Value& value, ValueReader* reader, Limit<PeerConfig>* out) {
  return reader->ReadLimit(value, out, [&](const Value& map, PeerConfig* peer) {
    const YamlNode::Kind kind = map.node->kind;
    if (kind != YamlNode::Kind::kMap && kind != YamlNode::Kind::kNull) {
      reader->Reject(map, "it is a map of uid, gid or both, such as {uid: [root, 1000]}");
      return false;
    }
    bool ok = true;
    const bool is_map = reader->ReadMap(
        map, {
                 {"uid",
                  [&](const Value& v) {
                    ok &= ReadAccounts(v, "it is the name or number of a user, or a list of them",
                                       reader, &peer->users);
                  }},
                 {"gid",
                  [&](const Value& v) {
                    ok &= ReadAccounts(v, "it is the name or number of a group, or a list of them",
                                       reader, &peer->groups);
                  }},
             });
    return is_map && ok;
  });
}

}  // namespace bsockd

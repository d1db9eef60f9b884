#include "lib/config/listener_reader.h"

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/text.h"
#include "lib/config/access_reader.h"
#include "lib/config/framing_reader.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr std::string_view kListenHint =
    "it is an address or a list of them, such as 127.0.0.1:51717, \"[::1]:51717\" or "
    "unix:/run/bsockd/main.sock";
constexpr std::string_view kHandlerHint = "it is the name of one of the handlers";

class ListenerReader {
 public:
  ListenerReader(const Value& entry, const ListenerDefaults& defaults, ValueReader* reader)
      : entry_(entry), reader_(*reader), settings_(defaults) {}

  PlacedListener Read() {
    ListenerConfig& config = result_.config;
    const bool is_map = ReadKeys();
    config.limits = FinishLimits(settings_);
    config.timeouts = settings_.timeouts;
    config.reply_errors = settings_.reply_errors;
    if (!is_map) return std::move(result_);
    PlacedFraming framing =
        ReadListenerFraming(framing_ ? &*framing_ : nullptr, beside_framing_, &reader_);
    config.framing = std::move(framing.requests);
    config.reply_framing = std::move(framing.replies);
    CheckWhole();
    CheckFixed(framing.fixed);
    CheckAccess();
    return std::move(result_);
  }

 private:
  bool ReadKeys() {
    ListenerConfig& config = result_.config;
    const auto beside = [this](const Value& v) { beside_framing_.push_back(v); };
    return reader_.ReadMap(
        entry_, {
                    {"listen", [this](const Value& v) { ReadListen(v); }},
                    {"mode", [this](const Value& v) { ReadMode(v); }},
                    {"framing", [this](const Value& v) { framing_ = v; }},
                    {"eof", beside},
                    {"overlong", beside},
                    {"reply_framing", beside},
                    {"handler", [this](const Value& v) { ReadHandler(v); }},
                    {"limits", [this](const Value& v) { ReadLimits(v, &reader_, &settings_); }},
                    {"timeouts", [this](const Value& v) { ReadTimeouts(v, &reader_, &settings_); }},
                    {"errors", [this](const Value& v) { ReadErrors(v, &reader_, &settings_); }},
                    {"allow",
                     [&](const Value& v) { result_.allow_known = ReadBlocksOf(v, &config.allow); }},
                    {"deny", [&](const Value& v) { ReadBlocksOf(v, &config.deny); }},
                    {"peer",
                     [&](const Value& v) {
                       peer_ = v.key_place;
                       ReadPeer(v, &reader_, &config.peer);
                     }},
                });
  }

  void ReadListen(const Value& value) {
    has_listen_ = true;
    all_addresses_known_ = reader_.ReadOneOrList(value, kListenHint, [this](const Value& item) {
      absl::StatusOr<Address> address = Address::Parse(item.node->text);
      if (address.ok()) {
        result_.config.listen.push_back(*std::move(address));
        result_.listen.push_back(item.place);
        return;
      }
      reader_.errors().Add(item.place, fmt::format("bad address {}: {}", Quoted(item.node->text),
                                                   MessageOf(address.status())));
      some_address_is_bad_ = true;
    });
  }

  void ReadMode(const Value& value) {
    mode_ = value.key_place;
    reader_.ReadMode(value, &result_.config.mode);
  }

  void ReadHandler(const Value& value) {
    has_handler_ = true;
    if (reader_.ReadString(value, kHandlerHint, &result_.config.handler)) {
      result_.handler = value.place;
    }
  }

  bool ReadBlocksOf(const Value& value, Limit<std::vector<CidrBlock>>* out) {
    const bool ok = ReadBlocks(value, &reader_, out);
    if (!out->value.empty()) blocks_.push_back(value);
    return ok;
  }

  void CheckWhole() {
    if (!has_listen_) {
      reader_.errors().Add(entry_.key_place, fmt::format("listener {} has no listen ({})",
                                                         Quoted(entry_.name), kListenHint));
    }
    if (!has_handler_) {
      reader_.errors().Add(entry_.key_place, fmt::format("listener {} has no handler ({})",
                                                         Quoted(entry_.name), kHandlerHint));
    }
  }

  void CheckFixed(Place fixed) {
    const size_t bytes = result_.config.framing.fixed_bytes;
    const size_t max_frame = result_.config.limits.max_frame.value;
    if (fixed.line == 0 || bytes <= max_frame) return;
    reader_.errors().Add(fixed, fmt::format("fixed ({0}) is above max_frame ({1}) (raise max_frame "
                                            "to {0} at least)",
                                            FormatSize(bytes), FormatSize(max_frame)));
  }

  // Keys that concern one kind of address only. Sockets from systemd can be of any kind, but their
  // files are not ours.
  void CheckAccess() {
    if (!all_addresses_known_ || some_address_is_bad_) return;
    const auto has = [this](auto... kinds) {
      return std::any_of(result_.config.listen.begin(), result_.config.listen.end(),
                         [&](const Address& address) { return ((address.kind == kinds) || ...); });
    };
    if (mode_ && !has(Address::Kind::kUnixPath)) {
      reader_.errors().Add(
          *mode_, "mode without a unix:/PATH address (only a socket file has permissions)");
    }
    if (peer_ && !(result_.config.peer.value == PeerConfig()) &&
        !has(Address::Kind::kUnixPath, Address::Kind::kUnixAbstract, Address::Kind::kSystemd)) {
      reader_.errors().Add(
          *peer_,
          "peer without a unix: address (for clients from the network there are allow and deny)");
    }
    if (has(Address::Kind::kTcp, Address::Kind::kSystemd)) return;
    for (const Value& list : blocks_) {
      reader_.errors().Add(list.key_place,
                           fmt::format("{} without an IP address (for clients of Unix sockets "
                                       "there are mode and peer)",
                                       list.name));
    }
  }

  const Value& entry_;
  ValueReader& reader_;
  ListenerDefaults settings_;
  PlacedListener result_;
  std::optional<Value> framing_;
  std::vector<Value> beside_framing_;  // What belongs to the framing but stands in the listener.
  std::vector<Value> blocks_;          // `allow` and `deny`, where they are not empty.
  std::optional<Place> mode_;          // Of the key, as the next one.
  std::optional<Place> peer_;
  bool has_listen_ = false;
  bool has_handler_ = false;
  bool all_addresses_known_ = false;
  bool some_address_is_bad_ = false;
};

}  // namespace

PlacedListener ReadListener(const Value& entry, const ListenerDefaults& defaults,
                            ValueReader* reader) {
  PlacedListener result = ListenerReader(entry, defaults, reader).Read();
  result.config.name = entry.name;
  return result;
}

}  // namespace bsockd

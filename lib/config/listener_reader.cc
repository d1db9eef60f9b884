#include "lib/config/listener_reader.h"

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "lib/config/framing_reader.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr std::string_view kListenHint =
    "it is an address or a list of them, such as 127.0.0.1:51717, \"[::1]:51717\" or "
    "unix:/run/bsockd/main.sock";
constexpr std::string_view kHandlerHint = "it is the name of one of the handlers";

// output_low must be reached by a queue that shrinks, so it cannot be 0.
constexpr size_t kOutputMarkMin = 1;
constexpr size_t kMaxFrameMin = 1;

class ListenerReader {
 public:
  ListenerReader(const Value& entry, ValueReader* reader) : entry_(entry), reader_(*reader) {}

  PlacedListener Read() {
    const bool is_map = reader_.ReadMap(
        entry_, {
                    {"listen", [this](const Value& v) { ReadListen(v); }},
                    {"mode", [this](const Value& v) { ReadMode(v); }},
                    {"framing",
                     [this](const Value& v) { ReadFraming(v, &reader_, &result_.config.framing); }},
                    {"handler", [this](const Value& v) { ReadHandler(v); }},
                    {"limits", [this](const Value& v) { ReadLimits(v); }},
                });
    if (is_map) CheckWhole();
    return std::move(result_);
  }

 private:
  void ReadListen(const Value& value) {
    has_listen_ = true;
    all_addresses_known_ = reader_.ReadOneOrList(value, kListenHint, [this](const Value& item) {
      absl::StatusOr<Address> address = Address::Parse(item.node->text);
      if (address.ok()) {
        result_.config.listen.push_back(*std::move(address));
        result_.listen.push_back(item.place);
        return;
      }
      const absl::string_view reason = address.status().message();
      reader_.errors().Add(item.place, fmt::format("bad address {}: {}", Quoted(item.node->text),
                                                   std::string_view(reason.data(), reason.size())));
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

  void ReadLimits(const Value& value) {
    LimitsConfig& limits = result_.config.limits;
    std::optional<Place> low;
    reader_.ReadMap(
        value, {
                   {"max_frame",
                    [&](const Value& v) {
                      reader_.ReadSize(v, kMaxFrameMin, kMaxFrameMax, &limits.max_frame.value);
                    }},
                   {"output_high",
                    [&](const Value& v) {
                      reader_.ReadSize(v, kOutputMarkMin, kOutputMarkMax, &limits.output_high.value);
                    }},
                   {"output_low",
                    [&](const Value& v) {
                      if (reader_.ReadSize(v, kOutputMarkMin, kOutputMarkMax, &limits.output_low)) {
                        low = v.place;
                      }
                    }},
               });
    if (!low) {
      // So that whoever lowers output_high need not think of the other.
      limits.output_low =
          std::min(limits.output_low, std::max(limits.output_high.value / 4, kOutputMarkMin));
    } else if (limits.output_low > limits.output_high.value) {
      reader_.errors().Add(
          *low, fmt::format("output_low ({}) is above output_high ({})",
                            FormatSize(limits.output_low), FormatSize(limits.output_high.value)));
    }
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
    const std::vector<Address>& listen = result_.config.listen;
    const bool unix_path = std::any_of(listen.begin(), listen.end(), [](const Address& address) {
      return address.kind == Address::Kind::kUnixPath;
    });
    if (mode_ && !unix_path && all_addresses_known_ && !some_address_is_bad_) {
      reader_.errors().Add(
          *mode_, "mode without a unix:/PATH address (only a socket file has permissions)");
    }
  }

  const Value& entry_;
  ValueReader& reader_;
  PlacedListener result_;
  std::optional<Place> mode_;
  bool has_listen_ = false;
  bool has_handler_ = false;
  bool all_addresses_known_ = false;
  bool some_address_is_bad_ = false;
};

}  // namespace

PlacedListener ReadListener(const Value& entry, ValueReader* reader) {
  PlacedListener result = ListenerReader(entry, reader).Read();
  result.config.name = entry.name;
  return result;
}

}  // namespace bsockd

#include "lib/config/limits_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "lib/config/names.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

// output_low must be reached by a queue that shrinks, so it cannot be 0.
constexpr size_t kOutputMarkMin = 1;
constexpr size_t kMaxFrameMin = 1;
constexpr Duration kTimeoutMin = std::chrono::milliseconds(1);

// A key that was there, and whether its value could be read.
struct Given {
  Place place;
  bool ok;
};

class LimitsReader {
 public:
  LimitsReader(ValueReader* reader, ListenerDefaults* settings)
      : reader_(*reader), settings_(*settings), limits_(settings->limits) {}

  void Read(const Value& value) {
    const bool is_map = reader_.ReadMap(
        value,
        {
            {"max_connections",
             [this](const Value& v) { Number(v, kMaxConnectionsMax, &limits_.max_connections); }},
            {"max_connections_per_ip",
             [this](const Value& v) {
               Number(v, kMaxConnectionsMax, &limits_.max_connections_per_ip);
             }},
            {"max_frame",
             [this](const Value& v) { Size(v, kMaxFrameMin, kMaxFrameMax, &limits_.max_frame); }},
            {"max_pipeline",
             [this](const Value& v) { Number(v, kMaxPipelineMax, &limits_.max_pipeline); }},
            {"output_high",
             [this](const Value& v) {
               high_ = {v.place, Size(v, kOutputMarkMin, kOutputMarkMax, &limits_.output_high)};
             }},
            {"output_low", [this](const Value& v) { ReadOutputLow(v); }},
            {"requests_per_second",
             [this](const Value& v) {
               rate_ = {v.place,
                        NumberOrOff(v, kRequestsPerSecondMax, &limits_.requests_per_second)};
             }},
            {"requests_burst", [this](const Value& v) { ReadBurst(v); }},
            {"max_requests",
             [this](const Value& v) { NumberOrOff(v, kMaxRequestsMax, &limits_.max_requests); }},
        });
    if (!is_map) return;
    CheckOutputMarks();
    CheckBurst();
  }

 private:
  bool Number(const Value& value, int max, Limit<int>* out) {
    return reader_.ReadLimit(
        value, out, [&](const Value& v, int* n) { return reader_.ReadInteger(v, 1, max, n); });
  }

  template <typename T>
  bool NumberOrOff(const Value& value, T max, Limit<T>* out) {
    return reader_.ReadLimit(value, out, [&](const Value& v, T* number) {
      return reader_.ReadIntegerOr("off", v, T{1}, max, number);
    });
  }

  bool Size(const Value& value, size_t min, size_t max, Limit<size_t>* out) {
    return reader_.ReadLimit(value, out, [&](const Value& v, size_t* size) {
      return reader_.ReadSize(v, min, max, size);
    });
  }

  void ReadOutputLow(const Value& value) {
    // To try out output_high is to try out both, so `enforce` means nothing here.
    Limit<size_t> low;
    low_ = {value.place, Size(value, kOutputMarkMin, kOutputMarkMax, &low)};
    if (!low_->ok) return;
    limits_.output_low = low.value;
    settings_.output_low_given = true;
  }

  void ReadBurst(const Value& value) {
    // As above: it belongs to requests_per_second.
    Limit<int> burst;
    burst_ = {value.place, Number(value, kRequestsPerSecondMax, &burst)};
    if (burst_->ok) limits_.requests_burst = burst.value;
  }

  void CheckOutputMarks() {
    if (!settings_.output_low_given || limits_.output_low <= limits_.output_high.value) return;
    // Where neither is here, they were complained about where they are.
    if ((low_ && !low_->ok) || (high_ && !high_->ok) || (!low_ && !high_)) return;
    reader_.errors().Add(
        low_ ? low_->place : high_->place,
        fmt::format("output_low ({}{}) is above output_high ({}) ({})",
                    FormatSize(limits_.output_low), low_ ? "" : ", from defaults",
                    FormatSize(limits_.output_high.value),
                    low_ ? "lower it, or raise output_high" : "say output_low here too"));
  }

  void CheckBurst() {
    const bool rate_unknown = rate_ && !rate_->ok;
    if (!burst_ || rate_unknown || limits_.requests_per_second.value != 0) return;
    reader_.errors().Add(burst_->place,
                         "requests_burst without requests_per_second (say how many a second may "
                         "follow)");
  }

  ValueReader& reader_;
  ListenerDefaults& settings_;
  LimitsConfig& limits_;
  std::optional<Given> low_;
  std::optional<Given> high_;
  std::optional<Given> rate_;
  std::optional<Given> burst_;
};

}  // namespace

void ReadLimits(const Value& value, ValueReader* reader, ListenerDefaults* settings) {
  LimitsReader(reader, settings).Read(value);
}

void ReadTimeouts(const Value& value, ValueReader* reader, ListenerDefaults* settings) {
  TimeoutsConfig& timeouts = settings->timeouts;
  const auto read = [reader](const Value& v, Limit<Duration>* out) {
    reader->ReadLimit(v, out, [&](const Value& duration, Duration* result) {
      return reader->ReadDuration(duration, kTimeoutMin, kDurationMax, result);
    });
  };
  reader->ReadMap(value, {
                             {"first_byte", [&](const Value& v) { read(v, &timeouts.first_byte); }},
                             {"frame", [&](const Value& v) { read(v, &timeouts.frame); }},
                             {"idle", [&](const Value& v) { read(v, &timeouts.idle); }},
                             {"write", [&](const Value& v) { read(v, &timeouts.write); }},
                         });
}

void ReadErrors(const Value& value, ValueReader* reader, ListenerDefaults* settings) {
  reader->ReadName(value, kErrorsNames, &settings->reply_errors);
}

LimitsConfig FinishLimits(const ListenerDefaults& settings) {
  LimitsConfig limits = settings.limits;
  if (!settings.output_low_given) {
    // So that whoever lowers output_high need not think of the other.
    limits.output_low =
        std::min(limits.output_low, std::max(limits.output_high.value / 4, kOutputMarkMin));
  }
  if (limits.requests_per_second.value == 0) {
    limits.requests_burst = 0;
  } else if (limits.requests_burst == 0) {
    limits.requests_burst = limits.requests_per_second.value;
  }
  return limits;
}

}  // namespace bsockd

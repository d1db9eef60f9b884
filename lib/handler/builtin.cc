#include "lib/handler/builtin.h"

#include <absl/strings/ascii.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <algorithm>
#include <utility>

namespace bsockd {
namespace {

class ReplyHandler final : public Handler {
 public:
  explicit ReplyHandler(std::string reply) : reply_(std::move(reply)) {}
  absl::Status Handle(const Request&, Reply& reply) const override {
    reply.Append(reply_);
    return absl::OkStatus();
  }

 private:
  const std::string reply_;
};

class EchoHandler final : public Handler {
 public:
  absl::Status Handle(const Request& request, Reply& reply) const override {
    reply.Append(request.payload);
    return absl::OkStatus();
  }
};

class UpperHandler final : public Handler {
 public:
  absl::Status Handle(const Request& request, Reply& reply) const override {
    std::transform(request.payload.begin(), request.payload.end(),
                   reply.Extend(request.payload.size()),
                   [](char c) { return absl::ascii_toupper(static_cast<unsigned char>(c)); });
    return absl::OkStatus();
  }
};

class DiscardHandler final : public Handler {
 public:
  absl::Status Handle(const Request&, Reply&) const override { return absl::OkStatus(); }
};

class TimeHandler final : public Handler {
 public:
  absl::Status Handle(const Request&, Reply& reply) const override {
    reply.Append(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()));
    return absl::OkStatus();
  }
};

class StatsHandler final : public Handler {
 public:
  explicit StatsHandler(const Metrics* metrics) : metrics_(*metrics) {}
  absl::Status Handle(const Request&, Reply& reply) const override {
    reply.Append(metrics_.Text());
    return absl::OkStatus();
  }

 private:
  const Metrics& metrics_;
};

}  // namespace

std::unique_ptr<const Handler> MakeReplyHandler(std::string reply) {
  return std::make_unique<ReplyHandler>(std::move(reply));
}

std::unique_ptr<const Handler> MakeBuiltinHandler(Builtin builtin, const Metrics* metrics) {
  switch (builtin) {
    case Builtin::kEcho:
      return std::make_unique<EchoHandler>();
    case Builtin::kUpper:
      return std::make_unique<UpperHandler>();
    case Builtin::kDiscard:
      return std::make_unique<DiscardHandler>();
    case Builtin::kStats:
      return std::make_unique<StatsHandler>(metrics);
    case Builtin::kTime:
      break;
  }
  return std::make_unique<TimeHandler>();
}

}  // namespace bsockd

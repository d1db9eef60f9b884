#include "lib/server/datagram_service.h"

#include <absl/hash/hash.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kPayloadBytesMax = 65535;  // No UDP datagram is longer, and few Unix ones.
constexpr size_t kKeptReplyBytesMax = size_t{256} * 1024;
constexpr int kDrainBatchesMax = 256;
// Of `ERR busy` to one address.
constexpr RequestRate kComplaintRate = {.interval = std::chrono::milliseconds(10), .burst = 100};
constexpr Duration kPause = std::chrono::milliseconds(100);  // When the system is out of memory.

size_t PayloadBytesMax(const LimitsConfig& limits) {
  if (!limits.max_frame.enforce) return kPayloadBytesMax;
  return std::min(limits.max_frame.value, kPayloadBytesMax);
}

}  // namespace

DatagramService::DatagramService(std::shared_ptr<ListenSocket> socket,
                                 std::shared_ptr<const Listener> listener)
    : socket_(std::move(socket)) {
  MoveTo(std::move(listener));
}

void DatagramService::MoveTo(std::shared_ptr<const Listener> listener) {
  listener_ = std::move(listener);
  batch_ = std::make_unique<DatagramBatch>(PayloadBytesMax(listener_->limits));
  known_peers_ = {};
}

void DatagramService::Open(Turn& turn, Slot number) {
  number_ = number;
  turn.ops.push_back({.kind = Op::Kind::kWatch, .slot = number_, .fd = socket_->fd()});
}

void DatagramService::OnReadable(Turn& turn) {
  if (pause_end_ || AnswerBatch(turn) >= 0) return;
  pause_end_ = turn.now + kPause;
  turn.ops.push_back({.kind = Op::Kind::kUnwatch, .slot = number_, .fd = socket_->fd()});
}

void DatagramService::OnPauseOver(Turn& turn) {
  pause_end_.reset();
  Open(turn, number_);
}

void DatagramService::Drain(Turn& turn, bool left) {
  for (int i = 0; !left && i < kDrainBatchesMax && AnswerBatch(turn) > 0; ++i) {
  }
  if (!left) socket_->Unlink();
  if (std::exchange(pause_end_, std::nullopt)) return;
  turn.ops.push_back({.kind = Op::Kind::kUnwatch, .slot = number_, .fd = socket_->fd()});
}

int DatagramService::AnswerBatch(Turn& turn) {
  const int count = batch_->Receive(*socket_);
  if (count <= 0) return count;
  replies_.clear();
  for (int i = 0; i < count; ++i) {
    has_reply_[i] = true;
    Answer(turn, i);
    reply_ends_[i] = replies_.size();
  }
  SendReplies(turn, count);
  if (replies_.capacity() > kKeptReplyBytesMax) replies_ = std::string();
  return count;
}

void DatagramService::Answer(Turn& turn, int i) {
  const LimitsConfig& limits = listener_->limits;
  const std::string_view payload = batch_->payload(i);
  has_reply_[i] = listener_->reply_errors;
  if (!Admits(turn, i)) {
    has_reply_[i] = false;
    return;
  }
  if (!MayAsk(turn, i)) {
    return AppendError("busy", fmt::format("a client may ask {} times a second here",
                                           limits.requests_per_second.value));
  }
  if (batch_->overlong(i)) {
    metrics(turn).Add(Counter::kShedMaxFrame);
    return AppendError("overlong",
                       fmt::format("a request has at most {} bytes here", PayloadBytesMax(limits)));
  }
  if (payload.size() > limits.max_frame.value) metrics(turn).Add(Counter::kShedMaxFrame, false);
  const size_t start = replies_.size();
  Reply reply(&replies_);
  const absl::Status status =
      listener_->handler->Handle({.payload = payload, .listener = listener_->name}, reply);
  metrics(turn).Add(Counter::kRequests);
  if (status.ok()) {
    has_reply_[i] = true;
    return;
  }
  replies_.resize(start);
  metrics(turn).Add(Counter::kFailed);
  AppendError("failed", MessageOf(status));
}

bool DatagramService::Admits(Turn& turn, int i) {
  if (const auto address = IpAddress::From(batch_->sender(i))) {
    return listener_->admission.Admits(*address, metrics(turn), Counter::kShedDeny,
                                       Counter::kShedAllow);
  }
  return listener_->admission.Admits(batch_->credentials(i), metrics(turn), Counter::kShedPeer);
}

// Whether the sender's address has a request left. How often it is told that it has none has a
// bound, too, because a sender's address may be forged, and the answers hit somebody else then.
bool DatagramService::MayAsk(Turn& turn, int i) {
  if (!listener_->request_rate) return true;
  const std::optional<IpAddress> address = IpAddress::From(batch_->sender(i));
  if (!address) return true;
  KnownPeer& known = known_peers_[absl::HashOf(address->v6, address->bytes) % kKnownPeers];
  if (!known.peer || known.address != *address) {
    known = {*address, listener_->peers->Find(*address, turn.now)};
  }
  if (known.peer->requests.Take(turn.now, *listener_->request_rate)) return true;
  const bool enforced = listener_->limits.requests_per_second.enforce;
  metrics(turn).Add(Counter::kShedRequestsPerSecond, enforced);
  if (enforced && !known.peer->complaints.Take(turn.now, kComplaintRate)) has_reply_[i] = false;
  return !enforced;
}

void DatagramService::AppendError(std::string_view code, std::string_view text) {
  if (listener_->reply_errors)
    fmt::format_to(std::back_inserter(replies_), "ERR {} {}", code, text);
}

void DatagramService::SendReplies(Turn& turn, int count) {
  for (int i = 0; i < count; ++i) {
    const size_t start = i == 0 ? 0 : reply_ends_[i - 1];
    if (!has_reply_[i]) continue;
    batch_->Reply(i, std::string_view(replies_).substr(start, reply_ends_[i] - start));
  }
  batch_->Send();
  // What no datagram can hold is the handler's failure, and is told; the rest is lost on its way.
  std::array<std::string, DatagramBatch::kDatagramsMax> errors;
  bool any_error = false;
  for (int i = 0; i < count; ++i) {
    if (!has_reply_[i] || batch_->send_error(i) == 0) continue;
    if (batch_->send_error(i) != EMSGSIZE) {
      metrics(turn).Add(Counter::kShedReply);
      continue;
    }
    metrics(turn).Add(Counter::kFailed);
    if (!listener_->reply_errors) continue;
    const size_t start = i == 0 ? 0 : reply_ends_[i - 1];
    errors[i] = fmt::format("ERR failed the reply of {} bytes does not fit a datagram",
                            reply_ends_[i] - start);
    batch_->Reply(i, errors[i]);
    any_error = true;
  }
  if (any_error) batch_->Send();
}

}  // namespace bsockd

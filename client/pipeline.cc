#include "client/pipeline.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/client/wait.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

class Pipeline {
 public:
  Pipeline(Session& session, RequestSource& source, const ReplySink& sink)
      : session_(session),
        source_(source),
        sink_(sink),
        window_max_(TellsApart(session.options().FramingOfReplies()) ? kPipelineMax : 1) {}

  // One thing at a time: a request, else a reply, else waiting. False at the end.
  bool Step() {
    if (unanswered_ < window_) {
      const absl::StatusOr<std::optional<std::string>> request = source_.Take();
      if (!FineHere(request.status())) {
        ReceiveAll();
        return false;
      }
      if (request->has_value()) return SendOne(**request);
      if (unanswered_ == 0) return !source_.ended() && Fill();
    }
    const bool wait_for_input = unanswered_ < window_ && !source_.ended();
    if (wait_for_input && !session_.client().has_input()) return Wait();
    return ReceiveOne();
  }

 private:
  bool SendOne(const std::string& request) {
    if (unanswered_ == 0) {
      const int before = session_.connections();
      if (!session_.Connect()) return false;
      if (session_.connections() != before) window_ = 1;
      waiting_since_ = std::chrono::steady_clock::now();
    }
    const absl::Status sent = session_.client().Send(request);
    ++unanswered_;
    if (sent.ok()) return true;
    // A server may have answered and closed before it read everything.
    if (absl::IsUnavailable(sent)) return ReceiveAll();
    --unanswered_;
    session_.Fail(sent);
    if (absl::IsInvalidArgument(sent)) ReceiveAll();
    return false;
  }

  bool ReceiveAll() {
    while (unanswered_ > 0) {
      if (!ReceiveOne()) return false;
    }
    return true;
  }

  bool ReceiveOne() {
    const absl::StatusOr<std::string> reply = session_.client().Receive();
    if (!reply.ok()) return Fail(reply.status());
    --unanswered_;
    window_ = window_max_;
    waiting_since_ = std::chrono::steady_clock::now();
    return FineHere(sink_(*reply));
  }

  // Until a reply or more input comes, whichever is first.
  bool Wait() {
    pollfd entries[] = {{session_.client().fd(), POLLIN, 0}, {source_.fd(), POLLIN, 0}};
    const Duration timeout = session_.options().timeout;
    const int ready = poll(entries, 2, PollMilliseconds(waiting_since_ + timeout));
    if (ready < 0 && errno != EINTR) return Fail(SocketError(errno));
    if (ready < 0) return true;
    if (ready == 0) {
      return Fail(absl::DeadlineExceededError(
          ToAbsl(fmt::format("no reply within {}", FormatDuration(timeout)))));
    }
    return entries[0].revents != 0 ? ReceiveOne() : Fill();
  }

  bool Fill() { return FineHere(source_.Fill()); }

  bool FineHere(const absl::Status& status) {
    if (!status.ok()) session_.FailHere(status);
    return status.ok();
  }

  bool Fail(const absl::Status& error) {
    session_.Fail(error, unanswered_ == 0 ? ""
                                          : fmt::format(" ({} request{} unanswered)", unanswered_,
                                                        unanswered_ == 1 ? "" : "s"));
    return false;
  }

  Session& session_;
  RequestSource& source_;
  const ReplySink& sink_;
  const int window_max_;
  int unanswered_ = 0;
  int window_ = 1;
  MonotonicTime waiting_since_;  // Since the last reply, or the request that ended a silence.
};

// False at the end, or after an error that has been reported.
bool AskNext(Session& session, RequestSource& source, const ReplySink& sink) {
  const absl::StatusOr<std::optional<std::string>> request = source.Next();
  if (!request.ok()) {
    session.FailHere(request.status());
    return false;
  }
  if (!request->has_value()) return false;
  const absl::StatusOr<std::string> reply = session.Call(**request);
  if (!reply.ok()) {
    session.Fail(reply.status());
    return false;
  }
  const absl::Status taken = sink(*reply);
  if (!taken.ok()) session.FailHere(taken);
  return taken.ok();
}

}  // namespace

void RunPipeline(Session& session, RequestSource& source, const ReplySink& sink) {
  if (session.datagrams()) {
    while (AskNext(session, source, sink)) {
    }
    return;
  }
  Pipeline pipeline(session, source, sink);
  while (pipeline.Step()) {
  }
}

}  // namespace bsockd

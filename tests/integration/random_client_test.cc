// Many connections at once that send random bytes, cut at random, with random pauses, and end in
// random ways. Every reply is compared with what a model says that it must be.
//
// The seed is printed; the environment variable BSOCKD_SEED repeats a run, as far as the requests
// and cuts go. The model is the framing's definition in docs/configuration.md, as naive as
// possible.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/text.h"
#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;
using Random = std::mt19937_64;

constexpr size_t kConnections = 60;  // At once.
constexpr milliseconds kDuration(1500);
constexpr int kPauseMsMax = 5;

// A listener and what is known of it.
struct Listener {
  std::string name;
  std::string framing;  // As in YAML.
  std::string handler;
  std::vector<std::string> delimiters;  // None: raw.
  std::string alphabet;                 // Of the random bytes: parts of delimiters, mostly.
  bool deliver_tail;
};

const std::vector<Listener>& Listeners() {
  static const std::vector<Listener> listeners = {
      {"line", "line", "echo", {"\n", "\r\n"}, "ab\r\n", true},
      {"line_upper", "line", "upper", {"\n", "\r\n"}, std::string("aZ\0\r\n\xC3", 6), true},
      {"crlf", "{line: crlf}", "upper", {"\r\n"}, "ab\r\n", true},
      {"three",
       "{delimiter: [\"@@\", \"\\r\\n\", \"\\n\"]}",
       "upper",
       {"@@", "\r\n", "\n"},
       "ab@\r\n",
       true},
      {"nested",
       "{delimiter: [\"aba\", \"ba\", \"xx\"], eof: discard}",
       "echo",
       {"aba", "ba", "xx"},
       "abx",
       false},
      {"raw", "raw", "upper", {}, "ab\r\n", true},
  };
  return listeners;
}

std::string Config() {
  std::string config = "handlers: {echo: {builtin: echo}, upper: {builtin: upper}}\nlisteners:\n";
  for (const Listener& each : Listeners()) {
    config += fmt::format("  {}: {{listen: [\"127.0.0.1:0\"], framing: {}, handler: {}}}\n",
                          each.name, each.framing, each.handler);
  }
  return config;
}

std::string Answer(const Listener& listener, std::string text) {
  if (listener.handler == "upper") {
    for (char& c : text) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
  }
  return text;
}

// The longest delimiter that `frame` ends with; null where there is none.
const std::string* EndOf(const Listener& listener, std::string_view frame) {
  const std::string* longest = nullptr;
  for (const std::string& each : listener.delimiters) {
    if (frame.ends_with(each) && (longest == nullptr || each.size() > longest->size())) {
      longest = &each;
    }
  }
  return longest;
}

// All replies to `sent`; with `ended`, those to a client that has half-closed.
std::string Model(const Listener& listener, std::string_view sent, bool ended) {
  if (listener.delimiters.empty()) return Answer(listener, std::string(sent));
  std::string replies;
  std::string frame;
  for (const char byte : sent) {
    frame.push_back(byte);
    if (const std::string* end = EndOf(listener, frame)) {
      replies += Answer(listener, frame.substr(0, frame.size() - end->size())) + *end;
      frame.clear();
    }
  }
  if (ended && listener.deliver_tail) replies += Answer(listener, frame);
  return replies;
}

size_t Up(Random& random, size_t most) {
  return std::uniform_int_distribution<size_t>(0, most)(random);
}

std::string RandomBytes(const Listener& listener, Random& random) {
  constexpr size_t kBytesMax[] = {3, 40, 40, 300, 20'000};
  std::string bytes(Up(random, kBytesMax[Up(random, 4)]), '\0');
  const bool rarely_ends = Up(random, 3) == 0;  // Long frames, now and then.
  for (char& byte : bytes) {
    byte = rarely_ends && Up(random, 50) != 0
               ? 'a'
               : listener.alphabet[Up(random, listener.alphabet.size() - 1)];
  }
  return bytes;
}

// One client, from its connect to its end. Moves whenever its socket allows or its pause is over.
class Client {
 public:
  Client(const Daemon& daemon, Random& random)
      : random_(random), index_(Up(random, Listeners().size() - 1)) {
    stream_ = Stream::Connect(daemon.address(index_));
    bytes_ = RandomBytes(listener(), random_);
    leaves_early_ = Up(random_, 9) == 0;
    pauses_ = Up(random_, 1) == 0;
    done_ = stream_ == nullptr;
  }

  bool done() const { return done_; }
  bool checked() const { return checked_; }

  pollfd Wants() const {
    const bool sends = sent_ < bytes_.size() && Clock::now() >= sleeps_until_;
    return {stream_->fd(), static_cast<short>(POLLIN | (sends ? POLLOUT : 0)), 0};
  }

  void Move() {
    received_ += stream_->ReceiveSome(&end_);
    if (end_ != Received::End::kOpen) return Check();
    if (Clock::now() < sleeps_until_) return;
    if (sent_ < bytes_.size()) {
      const size_t most = Up(random_, 2) == 0 ? 3 : bytes_.size();
      const size_t piece = std::min(bytes_.size() - sent_, 1 + Up(random_, most));
      const ssize_t count = stream_->SendSome(std::string_view(bytes_).substr(sent_, piece));
      ASSERT_GE(count, 0) << Describe() << ": the daemon has closed the connection";
      sent_ += static_cast<size_t>(count);
      if (pauses_) sleeps_until_ = Clock::now() + milliseconds(Up(random_, kPauseMsMax));
      if (leaves_early_ && Up(random_, 2) == 0) return Leave();
    }
    if (sent_ == bytes_.size() && !half_closed_) {
      half_closed_ = true;
      stream_->HalfClose();
    }
  }

  std::string Describe() const {
    std::string text;
    AppendEscaped(std::string_view(bytes_).substr(0, sent_), 200, &text);
    return fmt::format("listener {}, sent \"{}\"", listener().name, text);
  }

 private:
  const Listener& listener() const { return Listeners()[index_]; }

  void Leave() {
    // What has come so far is the beginning of what would have come.
    const std::string expected =
        Model(listener(), std::string_view(bytes_).substr(0, sent_), false);
    EXPECT_TRUE(expected.starts_with(received_)) << Describe();
    if (Up(random_, 1) == 0) stream_->Reset();
    done_ = true;
  }

  void Check() {
    done_ = checked_ = true;
    EXPECT_TRUE(half_closed_) << Describe() << ": closed before the client had ended";
    const std::string expected = Model(listener(), bytes_, true);
    if (received_ == expected && end_ == Received::End::kClosed) return;
    const auto different =
        std::mismatch(received_.begin(), received_.end(), expected.begin(), expected.end());
    ADD_FAILURE() << Describe() << ": " << received_.size() << " bytes of replies instead of "
                  << expected.size() << ", different from byte "
                  << different.first - received_.begin() << " on"
                  << (end_ == Received::End::kReset ? ", then a reset" : "");
  }

  Random& random_;
  const size_t index_;
  std::unique_ptr<Stream> stream_;
  std::string bytes_;
  std::string received_;
  size_t sent_ = 0;
  Clock::time_point sleeps_until_ = {};
  Received::End end_ = Received::End::kOpen;
  bool leaves_early_ = false;
  bool pauses_ = false;
  bool half_closed_ = false;
  bool done_ = false;
  bool checked_ = false;
};

uint64_t Seed() {
  const char* given = std::getenv("BSOCKD_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

class RandomClientTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(, RandomClientTest, kBackends, BackendName);

TEST_P(RandomClientTest, EveryReplyIsWhatTheModelSays) {
  const uint64_t seed = Seed();
  fmt::print("BSOCKD_SEED={}\n", seed);
  SCOPED_TRACE(fmt::format("BSOCKD_SEED={}", seed));
  Random random(seed);
  DaemonOptions options;
  options.config = "server: {workers: 3}\n" + Config();
  options.address_count = Listeners().size();
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);

  std::vector<std::unique_ptr<Client>> clients;
  const auto stop = Clock::now() + kDuration;
  auto moved = Clock::now();
  size_t checked = 0;
  while (!HasFailure() && (Clock::now() < stop || !clients.empty())) {
    while (clients.size() < kConnections && Clock::now() < stop) {
      clients.push_back(std::make_unique<Client>(*daemon, random));
    }
    std::vector<pollfd> polled;
    for (const auto& client : clients) polled.push_back(client->Wants());
    poll(polled.data(), polled.size(), 1);
    for (const auto& client : clients) client->Move();
    for (const auto& client : clients) checked += client->checked() ? 1 : 0;
    if (std::erase_if(clients, [](const auto& client) { return client->done(); }) > 0) {
      moved = Clock::now();
    }
    ASSERT_LT(Clock::now() - moved, kPatience)
        << clients.size() << " clients get nothing more; the first: " << clients[0]->Describe();
  }
  fmt::print("{} connections checked to their end\n", checked);
  EXPECT_GT(checked, Sanitized() ? 20u : 100u);
}

}  // namespace
}  // namespace bsockd::integration

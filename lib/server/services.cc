#include "lib/server/services.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "lib/base/text.h"
#include "lib/config/socket_key.h"
#include "lib/handler/registry.h"
#include "lib/net/ip.h"

namespace bsockd {
namespace {

// A server that was killed seems to live for a moment where its socket file is: io_uring lets its
// sockets go a little later.
constexpr int kFileAttemptsMax = 4;
constexpr useconds_t kFileAttemptPauseUs = 100000;

// A listener's own limits for an address need a table of addresses; one that the limit on all
// connections implies does not.
bool LimitsAddresses(const LimitsConfig& limits) {
  return limits.requests_per_second.value > 0 || !limits.max_connections.enforce ||
         limits.max_connections_per_ip.value < limits.max_connections.value;
}

absl::StatusOr<std::shared_ptr<const Listener>> MakeListener(
    const ListenerConfig& config, const std::shared_ptr<const Handler>& handler,
    const Listener* former, Metrics* metrics) {
  absl::StatusOr<Admission> admission = Admission::Make(config);
  if (!admission.ok()) return admission.status();
  auto listener = std::make_shared<Listener>();
  listener->name = config.name;
  listener->metrics = metrics->Of(config.name);
  listener->framing = config.framing;
  listener->reply_framing = config.reply_framing;
  const LimitsConfig& limits = config.limits;
  const size_t max_frame = limits.max_frame.enforce ? limits.max_frame.value : kMaxFrameMax;
  listener->framer = MakeFramer(config.framing, max_frame);
  if (config.reply_framing) {
    listener->own_reply_framer = MakeFramer(*config.reply_framing, kMaxFrameMax);
  }
  listener->handler = handler;
  listener->limits = limits;
  listener->timeouts = config.timeouts;
  listener->flush_after = config.framing.flush_after;
  listener->reply_errors = config.reply_errors;
  if (const int rate = limits.requests_per_second.value; rate > 0) {
    const int burst = limits.requests_burst > 0 ? limits.requests_burst : rate;
    listener->request_rate = {std::chrono::nanoseconds(std::chrono::seconds(1)) / rate, burst};
  }
  if (LimitsAddresses(limits)) {
    listener->peers =
        former != nullptr && former->peers ? former->peers : std::make_shared<PeerTable>();
  }
  listener->admission = *std::move(admission);
  return listener;
}

absl::StatusOr<std::vector<ListenSocket>> BindOnce(const Address& address, mode_t mode, int workers,
                                                   bool beside) {
  const auto bind = [&] {
    return address.datagrams ? BindDatagram(address, mode, workers, beside)
                             : Listen(address, mode, beside);
  };
  auto bound = bind();
  if (address.kind != Address::Kind::kUnixPath) return bound;
  for (int i = 1; i < kFileAttemptsMax && absl::IsAlreadyExists(bound.status()); ++i) {
    usleep(kFileAttemptPauseUs);
    bound = bind();
  }
  return bound;
}

// Binds `address`, which may include addresses of sockets that are `leaving`.
absl::StatusOr<std::vector<std::shared_ptr<ListenSocket>>> Bind(
    const Address& address, mode_t mode, int workers,
    const std::vector<std::shared_ptr<ListenSocket>>& leaving) {
  if (address.kind == Address::Kind::kSystemd) {
    return absl::InvalidArgumentError(ToAbsl(NoSuchSocket(address.ToString())));
  }
  auto bound = BindOnce(address, mode, workers, /*beside=*/false);
  if (!bound.ok() && !leaving.empty()) {
    for (const auto& socket : leaving) socket->ShareAddress(true);
    bound = BindOnce(address, mode, workers, /*beside=*/true);
    if (!bound.ok()) {
      for (const auto& socket : leaving) socket->ShareAddress(false);
    }
  }
  if (!bound.ok()) return absl::UnavailableError(bound.status().message());
  std::vector<std::shared_ptr<ListenSocket>> sockets;
  for (ListenSocket& socket : *bound) {
    sockets.push_back(std::make_shared<ListenSocket>(std::move(socket)));
  }
  return sockets;
}

// Whether whoever reaches the machine may use a listener that is bound so.
absl::Status CheckProtection(const ServerConfig& server, const ListenerConfig& listener,
                             const std::vector<std::shared_ptr<ListenSocket>>& sockets,
                             spdlog::logger* log) {
  const bool listed = !listener.allow.value.empty() && listener.allow.enforce;
  if (listed || server.protection == Protected::kOff) return absl::OkStatus();
  for (const auto& socket : sockets) {
    const std::optional<IpAddress> address = IpAddress::From(socket->local());
    if (!address || address->is_loopback()) continue;
    const std::string text = fmt::format(
        "listener {}: whoever reaches {} may use it (say who may, as in allow: [192.0.2.0/24], or "
        "listen on 127.0.0.1; server.protected: off, if that is meant)",
        listener.name, socket->name());
    if (server.protection == Protected::kStrict) {
      return absl::InvalidArgumentError(ToAbsl(text));
    }
    log->warn("{}", text);
    break;  // Once for each address as it was written.
  }
  return absl::OkStatus();
}

bool AreReachable(const std::vector<std::shared_ptr<ListenSocket>>& sockets) {
  return std::all_of(sockets.begin(), sockets.end(),
                     [](const auto& socket) { return socket->reachable(); });
}

}  // namespace

std::string NoSuchSocket(std::string_view systemd_key) {
  return fmt::format(
      "systemd has passed no socket for {} (a socket unit names it: FileDescriptorName={})",
      systemd_key, systemd_key.substr(systemd_key.find(':') + 1));
}

absl::StatusOr<NewServices> MakeServices(const Config& config, const ListenSockets& present,
                                         const ListenersByName& former, RequestLog* request_log,
                                         Metrics* metrics) {
  std::map<std::string, std::shared_ptr<const Handler>> handlers;
  for (const HandlerConfig& handler : config.handlers) {
    handlers[handler.name] = MakeHandler(handler, request_log, metrics);
  }
  const std::set<std::string> keys = SocketKeys(config);
  std::vector<std::shared_ptr<ListenSocket>> leaving;
  for (const auto& [key, sockets] : present) {
    if (!keys.contains(key)) leaving.insert(leaving.end(), sockets.begin(), sockets.end());
  }
  NewServices made;
  for (const ListenerConfig& listener : config.listeners) {
    const auto before = former.find(listener.name);
    auto listener_made =
        MakeListener(listener, handlers.at(listener.handler),
                     before == former.end() ? nullptr : before->second.get(), metrics);
    if (!listener_made.ok()) return listener_made.status();
    made.listeners[listener.name] = *std::move(listener_made);
    for (size_t i = 0; i < listener.listen.size(); ++i) {
      const std::string key = SocketKey(listener, i);
      const auto known = present.find(key);
      if (known != present.end() && AreReachable(known->second)) continue;
      auto sockets = Bind(listener.listen[i], listener.mode, config.server.workers, leaving);
      if (!sockets.ok()) return sockets.status();
      made.sockets[key] = *std::move(sockets);
    }
  }
  return made;
}

absl::StatusOr<Services> Assemble(const Config& config, NewServices made,
                                  const ListenSockets& present, spdlog::logger* log) {
  Services services;
  services.listeners = std::move(made.listeners);
  for (const ListenerConfig& listener : config.listeners) {
    for (size_t i = 0; i < listener.listen.size(); ++i) {
      const std::string key = SocketKey(listener, i);
      std::vector<std::shared_ptr<ListenSocket>>& sockets = services.sockets[key];
      const auto known = present.find(key);
      if (known != present.end() && !made.sockets.contains(key)) {
        sockets = known->second;
        // Not to those of a socket unit: another user has made them, or another network has them,
        // and what came to one that is added would be lost at a restart.
        if (listener.listen[i].kind != Address::Kind::kSystemd) {
          if (absl::Status status = AddToGroup(config.server.workers, &sockets); !status.ok()) {
            return absl::UnavailableError(status.message());
          }
        }
      } else {
        sockets = std::move(made.sockets.at(key));
      }
      if (absl::Status status = CheckProtection(config.server, listener, sockets, log);
          !status.ok()) {
        return status;
      }
      for (const auto& socket : sockets) {
        auto& kind = socket->datagrams() ? services.datagrams : services.streams;
        kind.push_back({socket, services.listeners.at(listener.name)});
      }
    }
  }
  // Only now, when nothing fails any more.
  for (const ListenerConfig& listener : config.listeners) {
    for (size_t i = 0; i < listener.listen.size(); ++i) {
      for (const auto& socket : services.sockets.at(SocketKey(listener, i))) {
        if (absl::Status status = socket->SetMode(listener.mode); !status.ok()) {
          log->warn("{}", MessageOf(status));  // The service is there all the same.
        }
      }
    }
  }
  return services;
}

}  // namespace bsockd

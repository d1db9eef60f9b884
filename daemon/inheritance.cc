#include "daemon/inheritance.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "lib/base/text.h"
#include "lib/config/socket_key.h"
#include "lib/server/services.h"

namespace bsockd {
namespace {

constexpr std::string_view kSystemd = "systemd:";
// In the store a socket's name is this and its SocketKey(), in which every byte that is not a
// letter, a digit or one of `._-` is %XX: a name there has no colon (sd_pid_notify_with_fds(3)).
constexpr std::string_view kStoredPrefix = "listen-";
constexpr size_t kStoredNameBytesMax = 255;

bool IsPlain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.';
}

std::string StoredName(std::string_view key) {
  std::string name(kStoredPrefix);
  for (const char c : key) {
    if (IsPlain(c)) {
      name += c;
    } else {
      fmt::format_to(std::back_inserter(name), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return name;
}

// The SocketKey() that StoredName() made `name` of; nothing if it has not. A key has a colon: that
// tells it from `listen-web`, which may be the name of a .socket unit's.
std::optional<std::string> KeyOf(std::string_view name) {
  if (!name.starts_with(kStoredPrefix)) return std::nullopt;
  name.remove_prefix(kStoredPrefix.size());
  std::string key;
  while (!name.empty()) {
    if (IsPlain(name.front())) {
      key += name.front();
      name.remove_prefix(1);
      continue;
    }
    unsigned byte = 0;
    if (name.size() < 3 || name.front() != '%') return std::nullopt;
    const auto [end, error] = std::from_chars(name.data() + 1, name.data() + 3, byte, 16);
    if (error != std::errc() || end != name.data() + 3) return std::nullopt;
    key += static_cast<char>(byte);
    name.remove_prefix(3);
  }
  if (key.find(':') == key.npos) return std::nullopt;
  return key;
}

void AddLine(std::string* text, std::string_view line) {
  if (!text->empty()) *text += '\n';
  *text += line;
}

std::string NotUsed(std::string_view key, const ListenSocket& socket) {
  const std::string_view name = key.substr(kSystemd.size());
  if (name == "unknown") {
    return fmt::format(
        "the socket {} is passed without a name (name it in LISTEN_FDNAMES, or by "
        "FileDescriptorName= of its unit, and listen on systemd:NAME)",
        socket.name());
  }
  return fmt::format(
      "no listener uses the socket {} that systemd passes as {} (listen on {}, or remove it from "
      "the socket unit)",
      socket.name(), name, key);
}

}  // namespace

StartSockets::~StartSockets() {
  for (const auto& [key, sockets] : sockets_) {
    for (const auto& socket : sockets) socket->LeaveFile();
  }
}

StartSockets StartSockets::Adopt(std::vector<InheritedFd> fds, Notifier& notifier,
                                 spdlog::logger& log) {
  StartSockets start;
  for (InheritedFd& inherited : fds) {
    const std::optional<std::string> stored = KeyOf(inherited.name);
    const std::string key = stored.value_or(std::string(kSystemd) + inherited.name);
    absl::StatusOr<ListenSocket> socket =
        ListenSocket::Adopt(std::move(inherited.fd), /*owns_file=*/stored.has_value());
    if (socket.ok()) {
      start.sockets_[key].push_back(std::make_shared<ListenSocket>(*std::move(socket)));
    } else if (stored) {
      log.warn("the socket that was kept for {} is of no use: {}", *stored,
               MessageOf(socket.status()));
      notifier.Unstore(inherited.name);
    } else {
      AddLine(&start.useless_[key],
              fmt::format("the descriptor that systemd passes as {} is of no use: {}",
                          inherited.name, MessageOf(socket.status())));
    }
  }
  return start;
}

void StartSockets::Add(const ListenSockets& taken_over) {
  for (const auto& [key, sockets] : taken_over) {
    if (sockets_.try_emplace(key, sockets).second) continue;
    for (const auto& socket : sockets) socket->LeaveFile();  // It is there twice.
  }
}

absl::Status StartSockets::Check(const std::set<std::string>& keys, Notifier& notifier) {
  std::string complaints;
  for (const auto& [key, why] : useless_) AddLine(&complaints, why);
  for (const auto& [key, sockets] : sockets_) {
    if (!IsOfSocketUnit(key) || keys.contains(key)) continue;
    for (const auto& socket : sockets) AddLine(&complaints, NotUsed(key, *socket));
  }
  for (const std::string& key : keys) {
    if (!IsOfSocketUnit(key) || sockets_.contains(key) || useless_.contains(key)) continue;
    AddLine(&complaints, NoSuchSocket(key));
  }
  if (!complaints.empty()) return absl::InvalidArgumentError(ToAbsl(complaints));
  const size_t freed = std::erase_if(sockets_, [&](const auto& entry) {
    const bool in_the_way =
        !keys.contains(entry.first) && keys.contains(KeyOfOtherType(entry.first));
    if (in_the_way) notifier.Unstore(StoredName(entry.first));
    return in_the_way;
  });
  if (freed > 0) notifier.Barrier();
  return absl::OkStatus();
}

void StartSockets::Release(const std::set<std::string>& keys, Notifier& notifier,
                           spdlog::logger& log) {
  bool any = false;
  for (const auto& [key, sockets] : sockets_) {
    if (keys.contains(key)) continue;
    any = true;
    for (const auto& socket : sockets) {
      log.info("{} is not in the configuration any more: closed", socket->name());
    }
    notifier.Unstore(StoredName(key));
  }
  if (any) notifier.Barrier();
  sockets_.clear();
}

void SocketStore::ForgetOthers(const ListenSockets& sockets) {
  const size_t forgotten = std::erase_if(stored_, [&](const auto& stored) {
    const bool gone = !sockets.contains(stored.first);
    if (gone) notifier_.Unstore(StoredName(stored.first));
    return gone;
  });
  if (forgotten > 0) notifier_.Barrier();
}

void SocketStore::Keep(const ListenSockets& sockets, spdlog::logger& log) {
  if (!notifier_.active()) return;
  for (const auto& [key, each] : sockets) {
    if (IsOfSocketUnit(key) || stored_[key] == each.size()) continue;
    stored_[key] = each.size();
    const std::string name = StoredName(key);
    if (name.size() > kStoredNameBytesMax) {
      log.warn("{}: the name is too long to be kept open over a restart", key);
      continue;
    }
    for (const auto& socket : each) notifier_.Store(name, socket->fd());
  }
}

}  // namespace bsockd

#include "daemon/reload.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <variant>

#include "lib/base/text.h"

namespace bsockd {
namespace {

Reloader::Result Load(const Reloader::Request& request) {
  Reloader::Result result;
  std::variant<Config, SettingsError> loaded = EffectiveConfig(request.flags);
  if (auto* error = std::get_if<SettingsError>(&loaded)) {
    result.errors = std::move(error->lines);
    return result;
  }
  result.config = std::get<Config>(std::move(loaded));
  Config made = result.config;
  made.server.workers = request.workers;
  absl::StatusOr<NewServices> services =
      MakeServices(made, request.present, request.former, request.request_log, request.metrics);
  if (services.ok()) {
    result.services = *std::move(services);
  } else {
    result.errors.emplace_back(MessageOf(services.status()));
  }
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Reloader>> Reloader::Create() {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  if (!event) return absl::ErrnoToStatus(errno, "eventfd");
  return std::unique_ptr<Reloader>(new Reloader(std::move(event)));
}

Reloader::~Reloader() {
  if (thread_.joinable()) thread_.join();
}

absl::Status Reloader::Start(Request request) {
  try {
    thread_ = std::thread([this, request = std::move(request)] {
      result_ = Load(request);
      eventfd_write(event_.get(), 1);
    });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(std::string("cannot start a thread: ") + error.what());
  }
  return absl::OkStatus();
}

Reloader::Result Reloader::Take() {
  eventfd_t ignored;
  eventfd_read(event_.get(), &ignored);
  thread_.join();
  return std::exchange(result_, {});
}

}  // namespace bsockd

#include "lib/config/load.h"

#include <absl/status/status.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/base/text.h"
#include "lib/base/unique_fd.h"
#include "lib/config/config_reader.h"
#include "lib/config/framing_reader.h"
#include "lib/config/value_reader.h"
#include "lib/config/yaml_reader.h"

namespace bsockd {
namespace {

std::string_view WithoutByteOrderMark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.substr(0, kMark.size()) == kMark) text.remove_prefix(kMark.size());
  return text;
}

// Reads the file, but no more than one byte above kConfigBytesMax. Errors: the errno.
int ReadFile(const std::string& path, std::string* out) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno;
  out->resize(kConfigBytesMax + 1);
  size_t size = 0;
  while (size < out->size()) {
    const ssize_t got = read(fd.get(), out->data() + size, out->size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  out->resize(size);
  return 0;
}

}  // namespace

LoadedConfig LoadConfig(std::string_view yaml) {
  yaml = WithoutByteOrderMark(yaml);
  LoadedConfig result;
  ErrorList errors;
  const YamlDocument document = ReadYaml(yaml, &errors);
  // Where there is no tree, what is missing from it is not the user's mistake.
  if (errors.empty() || document.root != nullptr) {
    ValueReader reader(&errors);
    result.config = ReadConfig(document.root, &reader);
  }
  result.errors = std::move(errors).Finish(yaml);
  return result;
}

LoadedConfig LoadConfigFile(const std::string& path) {
  std::string text;
  if (const int error = ReadFile(path, &text); error != 0) {
    LoadedConfig result;
    result.errors.push_back({0, 0, fmt::format("cannot read: {}", std::strerror(error))});
    return result;
  }
  return LoadConfig(text);
}

std::string FormatErrors(std::string_view file, const std::vector<ConfigError>& errors) {
  std::string result;
  for (const ConfigError& error : errors) {
    if (error.line == 0) {
      fmt::format_to(std::back_inserter(result), "{}: error: {}\n", file, error.message);
    } else {
      fmt::format_to(std::back_inserter(result), "{}:{}:{}: error: {}\n", file, error.line,
                     error.column, error.message);
    }
  }
  return result;
}

absl::StatusOr<FramingConfig> ParseFraming(std::string_view yaml) {
  yaml = WithoutByteOrderMark(yaml);
  ErrorList errors;
  const YamlDocument document = ReadYaml(yaml, &errors);
  FramingConfig framing;
  if (errors.empty()) {
    const YamlNode empty;
    const YamlNode* node = document.root != nullptr ? document.root : &empty;
    ValueReader reader(&errors);
    framing = ReadFraming({node, "framing", node->place, node->place}, &reader);
  }
  if (errors.empty()) return framing;
  std::string message;
  for (const ConfigError& error : std::move(errors).Finish(yaml)) {
    if (!message.empty()) message.append("; ");
    message.append(error.message);
  }
  return absl::InvalidArgumentError(ToAbsl(message));
}

}  // namespace bsockd

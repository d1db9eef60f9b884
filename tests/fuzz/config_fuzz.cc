// Configurations: loading never crashes, an error has a place and a text, and what loads is dumped
// so that it loads to the same. A framing alone, as command lines have it, says yes or why not.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/config/load.h"

namespace bsockd {
namespace {

[[noreturn]] void Fail(const char* what, std::string_view more) {
  std::fprintf(stderr, "%s:\n%.*s\n", what, static_cast<int>(more.size()), more.data());
  std::abort();
}

void CheckFraming(std::string_view yaml) {
  // A command line is short, and a file is read below.
  constexpr size_t kFramingBytesMax = 64;
  if (yaml.size() > kFramingBytesMax) return;
  const absl::StatusOr<FramingConfig> framing = ParseFraming(yaml);
  if (!framing.ok() && framing.status().message().empty()) Fail("a refusal without a word", yaml);
}

void Run(std::string_view yaml) {
  CheckFraming(yaml);
  const LoadedConfig loaded = LoadConfig(yaml);
  if (!loaded.ok()) {
    for (const ConfigError& error : loaded.errors) {
      if (error.message.empty() || error.line < 0 || error.column < 0) {
        Fail("an error without a place or a text", FormatErrors("fuzz", loaded.errors));
      }
    }
    if (FormatErrors("fuzz", loaded.errors).empty()) Fail("errors that print as nothing", "");
    return;
  }
  const std::string dump = DumpConfig(loaded.config);
  const LoadedConfig again = LoadConfig(dump);
  if (!again.ok()) Fail("the dump does not load", dump + FormatErrors("dump", again.errors));
  const std::string second = DumpConfig(again.config);
  if (second != dump) Fail("the dump loads to something else", dump + "-----\n" + second);
}

}  // namespace
}  // namespace bsockd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bsockd::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

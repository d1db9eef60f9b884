// The version that every program of this project prints. CHANGELOG.md says what is in it.
#pragma once

#include <string_view>

namespace bsockd {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace bsockd

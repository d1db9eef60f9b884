// The MESSAGE_IDs of the log: what happened, for programs, whatever the words. They never change;
// systemd/bsockd.catalog says what each means to an operator, sd_journal_print(3) what they are.
#pragma once

#include <string_view>

namespace bsockd::message_id {

inline constexpr std::string_view kStarting = "3b3eb63032df499f86757cc037544c24";
inline constexpr std::string_view kReady = "ce860a7c105b4e2ca369be784d44e28e";
inline constexpr std::string_view kReloaded = "a00c49dc28b4434ca8db10388cbed14e";
inline constexpr std::string_view kReloadRefused = "95246e3fcca84695afd8c865d161270b";
inline constexpr std::string_view kDraining = "6295e262efeb435fb3c1c50b26f53ab0";
inline constexpr std::string_view kStopped = "b98f79211929495eb3f0d0eb486b150b";
inline constexpr std::string_view kWorkerStalled = "ffd0dda87a784dd5bb9493c52d3ebd55";
inline constexpr std::string_view kProcessDied = "449362ab509a43878f01d98ddd3ef68c";

}  // namespace bsockd::message_id

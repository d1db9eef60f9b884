#include "lib/server/messages.h"

namespace bsockd {

std::string_view TextOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      break;
    case Refusal::kServerFull:
      return "this server has all the connections it may have";
    case Refusal::kListenerFull:
      return "this listener has all the connections it may have";
    case Refusal::kAddressFull:
      return "your address has all the connections it may have";
    case Refusal::kMemory:
      return "this server is short of memory";
  }
  return "";
}

}  // namespace bsockd

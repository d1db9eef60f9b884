#include "client/send.h"

#include <unistd.h>

#include <utility>

#include "client/hex.h"
#include "client/pipeline.h"
#include "client/request_source.h"

namespace bsockd {

void RunSend(Session& session, std::vector<std::string> messages, bool hex) {
  RequestSource source = messages.empty() ? RequestSource::Lines(STDIN_FILENO, hex)
                                          : RequestSource::List(std::move(messages));
  RunPipeline(session, source, [hex](std::string_view reply) {
    std::string line = hex ? ToHex(reply) : std::string(reply);
    line.push_back('\n');
    return WriteOut(line);
  });
}

}  // namespace bsockd

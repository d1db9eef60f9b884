#include "client/send.h"

#include <unistd.h>

#include <utility>

#include "client/pipeline.h"
#include "client/request_source.h"

namespace bsockd {

void RunSend(Session& session, std::vector<std::string> messages) {
  RequestSource source = messages.empty() ? RequestSource::Lines(STDIN_FILENO)
                                          : RequestSource::List(std::move(messages));
  RunPipeline(session, source, [](std::string_view reply) {
    std::string line(reply);
    line.push_back('\n');
    return WriteOut(line);
  });
}

}  // namespace bsockd

// bsock itself, started for a test, and what its tests have in common.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/process.h"
#include "tests/support/scripted_server.h"

namespace bsockd::integration {

// Runs it to its end with `input` on its standard input.
Outcome RunBsock(std::vector<std::string> arguments, std::string_view input = "");

std::unique_ptr<Process> StartBsock(std::vector<std::string> arguments, bool terminal);

// The line that shows a reply to a person.
std::string Transcript(std::string_view reply);

// A script that echoes lines with a mark in front.
void EchoLines(ServedConnection& connection, int index);

}  // namespace bsockd::integration

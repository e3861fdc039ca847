// What each subcommand prints and returns. main() only gives it the words, the environment and the streams.
#pragma once

#include <iosfwd>

#include "iptables/options.h"

namespace sockmesh::iptables {

// Returns the exit status: 0, 1, or 126 for a failed validation. Results go to `out`, everything else to
// `err`.
int run_command(const std::vector<std::string>& args, const Environment& environment, std::ostream& out,
                std::ostream& err);

}  // namespace sockmesh::iptables

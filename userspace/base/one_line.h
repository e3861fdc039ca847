// One line of text out of what others said: libraries, peers, names of files. What goes into a log or a table
// must not end the line there, nor move the reader's terminal. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace sockmesh {

// Lines are joined by "; ", empty ones left out; the rest as printable() has it (base/utf8.h), whole.
std::string one_line(std::string_view text);

}  // namespace sockmesh

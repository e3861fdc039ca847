// One line of text out of what others said: libraries, peers, names of files. What goes into a log or a table
// must not end the line there, nor move the reader's terminal. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace sockmesh {

// Lines are joined by "; ", empty ones left out; every other control character (C0,
// DEL, C1 in UTF-8) becomes a space.
std::string one_line(std::string_view text);

}  // namespace sockmesh

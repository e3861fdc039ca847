// libbpf's and the kernel's refusals as errors that say what is missing. Any thread.
#pragma once

#include <string_view>

#include "base/error.h"

namespace sockmesh::bpf {

// From here on this thread's last words of libbpf are kept for the next refusal(). Before each load.
void listen_to_libbpf();

// `err` is an errno. What it most probably means, and libbpf's words, are in the message.
Error refusal(std::string_view what, int err);

}  // namespace sockmesh::bpf

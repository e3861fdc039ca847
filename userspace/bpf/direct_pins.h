// What lane 3 leaves in a folder of bpffs, one folder a pod, so that it outlives the agent: its maps, and the
// links that hold its programs to the pod's cgroup. Whoever has to switch the lane off or to clean up needs
// the folder alone: no program is loaded for it. Needs root; any thread.
//
// The names are a stored format, like the maps' layout (intf/direct.h).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace sockmesh::bpf {

// Pinned last of the maps: where it is, all of them are, and its first word is the layout of all.
inline constexpr const char* kControlPin = "control";
inline constexpr std::array<const char*, 8> kOtherMapPins{"destinations", "prefixes", "routes", "clusters",
                                                          "hosts",        "live",     "flows",  "events"};
// In the order of attaching: nothing is led anywhere before what follows it is there. Detached backwards.
inline constexpr std::array<const char*, 5> kLinkPins{"link_sockops", "link_getpeername4",
                                                      "link_getpeername6", "link_connect4", "link_connect6"};

std::string direct_pin(const std::string& folder, std::string_view name);

// Whether it is a folder of bpffs: nowhere else is anything made or removed.
Result<void> check_pin_folder(const std::string& folder);

// The pinned control block, if there is one; an error if its layout is another than ours.
Result<Fd> open_pinned_control(const std::string& folder);  // none: an Fd without a descriptor

// The kill switch, from outside: new connections go to the proxy, open ones go on. An error if nothing is
// there.
Result<void> switch_pinned_direct(const std::string& folder, bool enabled);

// Switches off, detaches the programs, whoever else holds their links, and removes the pins and the folder.
// Whatever layout they have; parts of them too; no error if there is nothing. Open flows go on, without us:
// their getpeername() shows the endpoint from then on.
Result<void> remove_direct_pins(const std::string& folder);

}  // namespace sockmesh::bpf

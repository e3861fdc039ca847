// An event between two readings of one socket. The kernel tells how far a send queue has come in two parts
// that cannot be read at once, and what happens in between is a legal schedule that no load makes often. A
// test that links sockmesh::kernel_readings can put it there: the linker leads the calls that read, of the
// whole binary, through here.
//
// Thread rule: an event is the calling thread's own, for its own next reading.
#pragma once

#include <functional>

namespace sockmesh::test {

enum class Reading {
  kTcpInfo,    // getsockopt(TCP_INFO): what is acknowledged
  kSendQueue,  // ioctl(SIOCOUTQ): what is not
};

// Runs `event` right before this thread's next reading of that kind, once. Its own readings are let through.
void before_next(Reading reading, std::function<void()> event);
// Whether an event still waits for its reading: a test that put it there has to see it gone.
bool event_waits();

}  // namespace sockmesh::test

// Server: HTTP/1.1 over a loop, for doors that anybody may knock on. It never waits for a client: who is
// silent, slow or not reading loses its place to who comes next, and nothing a client sends or does not read
// takes more than the bounds below. Answers may come later and from elsewhere (Reply).
//
// Which connection gives way when a door is full, or its peer has too many: of the peer with the most
// connections there, one that lingers, else one that has not sent its request yet, else one that does not
// read its answer, else one that waits for it; of equals the oldest. A connection is read in the turn that
// accepts it, so that a client whose request is there already is not one of the first to go.
//
// Thread: the loop's, or before it runs and after. The loop outlives the server. Destroying the server closes
// everything at once.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "event/loop.h"
#include "http/server_connection.h"

namespace sockmesh::http {

// Gives the answer; loop's thread, once. Nothing happens when the client has left meanwhile.
using Reply = std::function<void(Response)>;

// What is still to be done for an answer: destroyed when its client leaves or loses its place, and when the
// answer was given. May be null.
using Work = std::shared_ptr<void>;

using Handler = std::function<Work(Request request, Reply reply)>;

struct DoorBounds {
  size_t connections = 64;  // at a time
  size_t per_peer = 32;     // of one IPv4 address or one IPv6 /64; of all clients of a Unix socket
  ConnectionBounds connection;
};

class Server {
 public:
  // Answers that are being read keep at most `answer_bytes` between them (parts that several answers share
  // count once): for a new one, those that have not read for the longest time give way. One answer alone may
  // be larger.
  Server(event::Loop& loop, size_t answer_bytes);
  ~Server();

  // Serves what connects to `listening`, a non-blocking listening socket.
  void open(Fd listening, DoorBounds bounds, Handler handler);

  size_t connections() const;   // of all doors
  size_t answer_bytes() const;  // kept for answers that are being read

 private:
  struct Door;
  struct Client;

  void make_room(const Client& newest);  // for its answer

  event::Loop& loop_;
  const size_t answer_bytes_;
  std::vector<std::unique_ptr<Door>> doors_;
};

}  // namespace sockmesh::http

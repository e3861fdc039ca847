// Makes ClientHellos for tests, byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sockmesh::connection {

using Bytes = std::vector<uint8_t>;

inline void append16(Bytes& to, size_t number) {
  to.push_back(static_cast<uint8_t>(number >> 8));
  to.push_back(static_cast<uint8_t>(number));
}
inline void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }
inline Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

inline Bytes extension(uint16_t type, const Bytes& body) {
  Bytes out;
  append16(out, type);
  append16(out, body.size());
  append(out, body);
  return out;
}

inline Bytes server_name_extension(const std::string& name) {
  Bytes body;
  append16(body, name.size() + 3);
  body.push_back(0);
  append16(body, name.size());
  append(body, bytes_of(name));
  return extension(0, body);
}

inline Bytes alpn_extension(const std::vector<std::string>& names) {
  Bytes list;
  for (const std::string& name : names) {
    list.push_back(static_cast<uint8_t>(name.size()));
    append(list, bytes_of(name));
  }
  Bytes body;
  append16(body, list.size());
  append(body, list);
  return extension(16, body);
}

// The handshake message, header included.
inline Bytes hello_message(const Bytes& extensions) {
  Bytes body{3, 3};
  body.resize(2 + 32, 0xab);
  append(body, {0});                 // session id
  append(body, {0, 2, 0x13, 0x01});  // cipher suites
  append(body, {1, 0});              // compression
  append16(body, extensions.size());
  append(body, extensions);
  Bytes message{1, 0};
  append16(message, body.size());
  append(message, body);
  return message;
}

// In records of at most `record` bytes each.
inline Bytes in_records(const Bytes& message, size_t record = 16384) {
  Bytes out;
  for (size_t at = 0; at < message.size(); at += record) {
    const size_t length = std::min(record, message.size() - at);
    append(out, {22, 3, 1});
    append16(out, length);
    out.insert(out.end(), message.begin() + static_cast<std::ptrdiff_t>(at),
               message.begin() + static_cast<std::ptrdiff_t>(at + length));
  }
  return out;
}

}  // namespace sockmesh::connection

#include "http/client.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/fd.h"
#include "base/strings.h"
#include "event/watched_fd.h"
#include "http/curl.h"

namespace sockmesh::http {

// curl says what it waits for, the loop says when that has come.
struct Client::Multi {
  Multi(event::Loop& its_loop, const Curl& its_curl)
      : loop(its_loop),
        curl(its_curl),
        handle(curl.multi_init()),
        timer(loop.timer([this] { act(CURL_SOCKET_TIMEOUT, 0); })) {
    curl.multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, &Multi::wait_for);
    curl.multi_setopt(handle, CURLMOPT_SOCKETDATA, this);
    curl.multi_setopt(handle, CURLMOPT_TIMERFUNCTION, &Multi::wait_until);
    curl.multi_setopt(handle, CURLMOPT_TIMERDATA, this);
  }
  ~Multi() { curl.multi_cleanup(handle); }
  Multi(const Multi&) = delete;

  static int wait_for(CURL*, curl_socket_t fd, int what, void* self, void*) {
    Multi& me = *static_cast<Multi*>(self);
    if (what == CURL_POLL_REMOVE) {
      me.watches.erase(fd);
      return 0;
    }
    const uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (const auto known = me.watches.find(fd); known != me.watches.end()) {
      known->second.set_events(events);
      return 0;
    }
    auto own = event::WatchedFd::duplicate(fd);
    if (!own) return -1;  // curl ends what it does with an error
    me.watches.emplace(fd, std::move(*own)).first->second.watch(me.loop, events, [&me, fd](uint32_t ready) {
      const int mask = (ready & EPOLLIN ? CURL_CSELECT_IN : 0) | (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (ready & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
      me.act(fd, mask);
    });
    return 0;
  }
  static int wait_until(CURLM*, long milliseconds, void* self) {
    Multi& me = *static_cast<Multi*>(self);
    if (milliseconds < 0)
      me.timer->cancel();
    else
      me.timer->set(std::chrono::milliseconds(milliseconds));
    return 0;
  }
  // The duplicate goes first, so that the peer sees the end at once.
  static int close_socket(void* self, curl_socket_t fd) {
    static_cast<Multi*>(self)->watches.erase(fd);
    return ::close(fd);
  }

  void act(curl_socket_t fd, int events);

  event::Loop& loop;
  const Curl& curl;
  CURLM* handle;
  std::map<curl_socket_t, event::WatchedFd> watches;  // duplicates: curl closes its sockets by itself
  std::unique_ptr<event::Timer> timer;
};

class Client::Transfer : public std::enable_shared_from_this<Client::Transfer> {
 public:
  Transfer(Multi* multi, Call call, std::function<void(Outcome)> done)
      : multi_(multi), call_(std::move(call)), done_(std::move(done)) {}
  ~Transfer() { release(); }
  Transfer(const Transfer&) = delete;

  void begin();
  void fail_later(event::Loop& loop, std::string error) {
    outcome_.error = std::move(error);
    timer_ = loop.timer([this] { finish(); });
    timer_->set(Duration::zero());
  }
  void over(CURLcode code);

 private:
  static Transfer& self(void* pointer) { return *static_cast<Transfer*>(pointer); }
  static size_t take_header(const char* data, size_t size, size_t count, void* pointer);
  static size_t take_body(const char* data, size_t size, size_t count, void* pointer);
  static curl_socket_t open_socket(void* pointer, curlsocktype purpose, curl_sockaddr* address);
  void note_redirect();
  void release();
  void finish() {
    const auto kept = shared_from_this();  // `done` may let go of us
    const auto done = std::move(done_);
    done(std::move(outcome_));
  }

  Multi* const multi_;  // null: could not be begun
  const Call call_;
  std::function<void(Outcome)> done_;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::unique_ptr<event::Timer> timer_;
  Outcome outcome_;
  size_t header_bytes_ = 0;
  bool headers_whole_ = false;  // of the last answer: 100 Continue is one as well
  bool cut_ = false;
  std::string refused_;  // why we ended it ourselves
};

void Client::Multi::act(curl_socket_t fd, int events) {
  int running = 0;
  curl.multi_socket_action(handle, fd, events, &running);
  int left = 0;
  while (const CURLMsg* message = curl.multi_info_read(handle, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* transfer = nullptr;
    const CURLcode code = message->data.result;
    curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    reinterpret_cast<Transfer*>(transfer)->over(code);
  }
}

void Client::Transfer::begin() {
  const Curl& curl = multi_->curl;
  easy_ = curl.easy_init();
  const auto set = [&](CURLoption option, auto value) { curl.easy_setopt(easy_, option, value); };
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_URL, call_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_FRESH_CONNECT, 1L);
  // What is asked is the pod's own application: there is no name that a certificate could be checked against.
  set(CURLOPT_SSL_VERIFYPEER, 0L);
  set(CURLOPT_SSL_VERIFYHOST, 0L);
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(call_.protocol == Call::Protocol::kHttp11  ? CURL_HTTP_VERSION_1_1
                        : call_.protocol == Call::Protocol::kHttp2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                                                   : CURL_HTTP_VERSION_2TLS));
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(call_.deadline).count();
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::clamp<int64_t>(milliseconds, 1, INT32_MAX)));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::clamp<int64_t>(milliseconds, 1, INT32_MAX)));

  const auto add = [&](const std::string& line) { headers_ = curl.slist_append(headers_, line.c_str()); };
  // Without a value: curl's own is left out. An empty one is asked for with a semicolon.
  add("Accept:");
  add("Expect:");
  for (const Header& one : call_.headers)
    add(one.value.empty() ? one.name + ";" : one.name + ": " + one.value);
  if (call_.protocol != Call::Protocol::kHttp2) add("Connection: close");
  set(CURLOPT_HTTPHEADER, headers_);
  if (call_.body) {
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(call_.body->size()));
    set(CURLOPT_POSTFIELDS, call_.body->data());
  }
  set(CURLOPT_HEADERFUNCTION, &Transfer::take_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Transfer::take_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_CLOSESOCKETFUNCTION, &Multi::close_socket);
  set(CURLOPT_CLOSESOCKETDATA, multi_);
  curl.multi_add_handle(multi_->handle, easy_);
}

size_t Client::Transfer::take_header(const char* data, size_t size, size_t count, void* pointer) {
  Transfer& me = self(pointer);
  const size_t bytes = size * count;
  me.header_bytes_ += bytes;
  if (me.header_bytes_ > me.call_.max_headers) {
    me.refused_ = fmt::format("its headers are larger than {} bytes", me.call_.max_headers);
    return 0;
  }
  const std::string_view line = trim(std::string_view(data, bytes));
  if (line.starts_with("HTTP/")) me.outcome_.same_host_named = me.headers_whole_ = false;
  if (line.empty()) me.headers_whole_ = true;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bytes;
  const std::string_view name = line.substr(0, colon), value = trim(line.substr(colon + 1));
  if (equals_ignore_case(name, "grpc-status")) me.outcome_.grpc_status = value;
  if (equals_ignore_case(name, "location"))
    me.outcome_.same_host_named = value.starts_with("/") && !value.starts_with("//");
  return bytes;
}

size_t Client::Transfer::take_body(const char* data, size_t size, size_t count, void* pointer) {
  Transfer& me = self(pointer);
  const size_t bytes = size * count, room = me.call_.max_body - me.outcome_.body.size();
  me.outcome_.body.append(data, std::min(bytes, room));
  if (bytes <= room) return bytes;
  if (me.call_.cut_body)
    me.cut_ = true;
  else
    me.refused_ = fmt::format("its body is larger than {} bytes", me.call_.max_body);
  return 0;
}

curl_socket_t Client::Transfer::open_socket(void* pointer, curlsocktype, curl_sockaddr* address) {
  Transfer& me = self(pointer);
  Fd fd(::socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->protocol));
  if (!fd) {
    me.refused_ = os_error("socket").message;
    return CURL_SOCKET_BAD;
  }
  if (!me.call_.source) return fd.release();
  sockaddr_storage storage{};
  const socklen_t length = SocketAddress{*me.call_.source, 0}.to_sockaddr(storage);
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    me.refused_ = os_error("bind " + me.call_.source->to_string()).message;
    return CURL_SOCKET_BAD;
  }
  return fd.release();
}

void Client::Transfer::note_redirect() {
  const Curl& curl = multi_->curl;
  const char* url = nullptr;
  curl.easy_getinfo(easy_, CURLINFO_REDIRECT_URL, &url);
  if (!url) return;
  outcome_.redirect = url;
  CURLU* parts = curl.url();
  char* host = nullptr;
  if (curl.url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
      curl.url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
    outcome_.redirect_host = host;
  curl.free(host);
  curl.url_cleanup(parts);
}

void Client::Transfer::over(CURLcode code) {
  const Curl& curl = multi_->curl;
  long status = 0;
  curl.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  outcome_.status = headers_whole_ ? static_cast<int>(status) : 0;
  const char* type = nullptr;
  curl.easy_getinfo(easy_, CURLINFO_CONTENT_TYPE, &type);
  if (type) outcome_.type = type;
  note_redirect();
  if (code != CURLE_OK && !cut_) {
    long reason = 0;
    curl.easy_getinfo(easy_, CURLINFO_OS_ERRNO, &reason);
    outcome_.error = !refused_.empty() ? refused_
                     : reason != 0     ? os_error(curl.easy_strerror(code), static_cast<int>(reason)).message
                                       : curl.easy_strerror(code);
  }
  release();
  finish();
}

void Client::Transfer::release() {
  if (!easy_) return;
  const Curl& curl = multi_->curl;
  curl.multi_remove_handle(multi_->handle, easy_);
  curl.easy_cleanup(easy_);
  curl.slist_free_all(headers_);
  easy_ = nullptr;
  headers_ = nullptr;
}

Client::Client(event::Loop& loop) : loop_(loop) {}
Client::~Client() = default;

Client::Handle Client::start(Call call, std::function<void(Outcome)> done) {
  const auto curl = load_curl();
  if (curl && !multi_) multi_ = std::make_unique<Multi>(loop_, **curl);
  const auto transfer = std::make_shared<Transfer>(multi_.get(), std::move(call), std::move(done));
  if (curl)
    transfer->begin();
  else
    transfer->fail_later(loop_, curl.error().message);
  return transfer;
}

}  // namespace sockmesh::http

#include "http/curl.h"

#include <dlfcn.h>

namespace sockmesh::http {

namespace {

constexpr const char* kLibrary = "libcurl.so.4";

template <typename Function>
bool find(void* library, const char* name, Function& into) {
  into = reinterpret_cast<Function>(::dlsym(library, name));
  return into != nullptr;
}

Result<Curl> load() {
  void* library = ::dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL);
  if (!library) return fail("{}", ::dlerror());
  Curl curl{};
  decltype(&::curl_global_init) global_init = nullptr;
  const bool complete =
      find(library, "curl_global_init", global_init) && find(library, "curl_easy_init", curl.easy_init) &&
      find(library, "curl_easy_cleanup", curl.easy_cleanup) &&
      find(library, "curl_easy_setopt", curl.easy_setopt) &&
      find(library, "curl_easy_getinfo", curl.easy_getinfo) &&
      find(library, "curl_easy_strerror", curl.easy_strerror) && find(library, "curl_url", curl.url) &&
      find(library, "curl_url_cleanup", curl.url_cleanup) && find(library, "curl_url_set", curl.url_set) &&
      find(library, "curl_url_get", curl.url_get) && find(library, "curl_free", curl.free) &&
      find(library, "curl_slist_append", curl.slist_append) &&
      find(library, "curl_slist_free_all", curl.slist_free_all) &&
      find(library, "curl_multi_init", curl.multi_init) &&
      find(library, "curl_multi_cleanup", curl.multi_cleanup) &&
      find(library, "curl_multi_setopt", curl.multi_setopt) &&
      find(library, "curl_multi_add_handle", curl.multi_add_handle) &&
      find(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
      find(library, "curl_multi_socket_action", curl.multi_socket_action) &&
      find(library, "curl_multi_info_read", curl.multi_info_read);
  if (!complete) return fail("{}: {}", kLibrary, ::dlerror());
  if (const CURLcode code = global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
    return fail("{}: curl_global_init failed with {}", kLibrary, static_cast<int>(code));
  return curl;
}

}  // namespace

Result<const Curl*> load_curl() {
  static const Result<Curl> loaded = load();
  if (!loaded) return fail(loaded.error());
  return &*loaded;
}

}  // namespace sockmesh::http

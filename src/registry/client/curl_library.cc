#include "nexcage/registry/client/curl_library.h"

#include <dlfcn.h>

#include <string>

namespace nexcage::registry::client {

namespace {

// The macros of curl.h would take the place of the members.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/// Looks names up until one is missing.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    if (function == nullptr && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

std::unexpected<Error> unusable(const std::string& why) {
  return fail(Error(Errc::RuntimeNotAvailable, "load libcurl: " + why)
                  .hint("install libcurl 7.85 or later (Debian: libcurl4)"));
}

Result<CurlLibrary> load() {
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return unusable(why != nullptr ? why : "libcurl.so.4");
  }
  CurlLibrary curl;
  Symbols symbols(library);
  symbols.find(curl.easy_init, "curl_easy_init");
  symbols.find(curl.easy_setopt, "curl_easy_setopt");
  symbols.find(curl.easy_getinfo, "curl_easy_getinfo");
  symbols.find(curl.easy_cleanup, "curl_easy_cleanup");
  symbols.find(curl.easy_strerror, "curl_easy_strerror");
  symbols.find(curl.multi_init, "curl_multi_init");
  symbols.find(curl.multi_setopt, "curl_multi_setopt");
  symbols.find(curl.multi_add_handle, "curl_multi_add_handle");
  symbols.find(curl.multi_remove_handle, "curl_multi_remove_handle");
  symbols.find(curl.multi_perform, "curl_multi_perform");
  symbols.find(curl.multi_poll, "curl_multi_poll");
  symbols.find(curl.multi_wakeup, "curl_multi_wakeup");
  symbols.find(curl.multi_info_read, "curl_multi_info_read");
  symbols.find(curl.multi_cleanup, "curl_multi_cleanup");
  symbols.find(curl.multi_strerror, "curl_multi_strerror");
  symbols.find(curl.slist_append, "curl_slist_append");
  symbols.find(curl.slist_free_all, "curl_slist_free_all");
  decltype(&::curl_global_init) global_init = nullptr;
  symbols.find(global_init, "curl_global_init");
  if (!symbols.missing().empty()) return unusable("it has no " + symbols.missing());
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return unusable("it does not initialise");
  return curl;
}

}  // namespace

Result<const CurlLibrary*> load_curl() {
  static const Result<CurlLibrary> loaded = load();
  if (!loaded) return fail(loaded.error());
  return &*loaded;
}

}  // namespace nexcage::registry::client

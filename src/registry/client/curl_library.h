// libcurl, loaded when the first registry is spoken to. Linking it would have every start of the
// image helper load thirty libraries; most starts talk to nobody. Internal to the HTTP session.
#pragma once

// The checking macros of the header name the functions themselves, which are not linked.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "nexcage/base/error.h"

namespace nexcage::registry::client {

/// The functions of libcurl that are used here, under their names without "curl_".
struct CurlLibrary {
  decltype(&::curl_easy_init) easy_init = nullptr;
  decltype(&::curl_easy_setopt) easy_setopt = nullptr;
  decltype(&::curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&::curl_easy_strerror) easy_strerror = nullptr;
  decltype(&::curl_multi_init) multi_init = nullptr;
  decltype(&::curl_multi_setopt) multi_setopt = nullptr;
  decltype(&::curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&::curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&::curl_multi_perform) multi_perform = nullptr;
  decltype(&::curl_multi_poll) multi_poll = nullptr;
  decltype(&::curl_multi_wakeup) multi_wakeup = nullptr;
  decltype(&::curl_multi_info_read) multi_info_read = nullptr;
  decltype(&::curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&::curl_multi_strerror) multi_strerror = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
};

/// Loads and initialises it once; it stays until the process ends. To be called first before
/// threads are made and before the process is confined. RuntimeNotAvailable, naming the package,
/// when the library is missing or lacks a function.
Result<const CurlLibrary*> load_curl();

}  // namespace nexcage::registry::client

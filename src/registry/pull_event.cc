#include "nexcage/registry/pull_event.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace nexcage::registry {

namespace {

using Kind = PullEvent::Kind;
using State = PullEvent::State;

constexpr std::array<std::pair<std::string_view, Kind>, 5> kKinds = {{{"endpoint", Kind::endpoint},
                                                                      {"resolved", Kind::resolved},
                                                                      {"progress", Kind::progress},
                                                                      {"blob", Kind::blob},
                                                                      {"retry", Kind::retry}}};
constexpr std::array<std::pair<std::string_view, State>, 7> kStates = {
    {{"waiting", State::waiting},
     {"present", State::present},
     {"mounted", State::mounted},
     {"started", State::started},
     {"resumed", State::resumed},
     {"verifying", State::verifying},
     {"done", State::done}}};

std::string text_of(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const std::string* text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::uint64_t number_of(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr ? member->as_u64().value_or(0) : 0;
}

/// The value of a word in a table; nullopt for another word.
template <class Table>
auto find_word(const Table& table, std::string_view word)
    -> std::optional<typename Table::value_type::second_type> {
  const auto found = std::ranges::find(table, word, &Table::value_type::first);
  if (found == table.end()) return std::nullopt;
  return found->second;
}

std::chrono::milliseconds delay_of(const json::Value& value) {
  const json::Value* delay = value.find("delay");
  if (delay == nullptr) return {};
  if (const auto* seconds = std::get_if<double>(&delay->storage()))
    return std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
  return std::chrono::seconds(delay->as_i64().value_or(0));
}

}  // namespace

std::optional<PullEvent> parse_pull_event(const json::Value& value) {
  const auto kind = find_word(kKinds, text_of(value, "event"));
  if (!kind) return std::nullopt;
  PullEvent event;
  event.kind = *kind;
  event.url = text_of(value, "url");
  event.digest = text_of(value, "digest");
  event.bytes = number_of(value, "bytes");
  event.size = number_of(value, "size");
  event.what = text_of(value, "what");
  event.why = text_of(value, "why");
  event.delay = delay_of(value);
  if (event.kind == Kind::blob) {
    const auto state = find_word(kStates, text_of(value, "state"));
    if (!state) return std::nullopt;
    event.state = *state;
  }
  const json::Value* layers = value.find("layers");
  const json::Array* list = layers != nullptr ? layers->if_array() : nullptr;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i)
    event.layers.push_back(
        {.digest = text_of((*list)[i], "digest"), .size = number_of((*list)[i], "size")});
  return event;
}

}  // namespace nexcage::registry

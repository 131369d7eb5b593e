#include "nexcage/json/value.h"

#include <algorithm>
#include <limits>

namespace nexcage::json {
namespace {

std::vector<const Member*> by_name(const Object& object) {
  std::vector<const Member*> members;
  members.reserve(object.size());
  for (const Member& member : object) members.push_back(&member);
  std::ranges::sort(members, {},
                    [](const Member* member) -> const std::string& { return member->first; });
  return members;
}

}  // namespace

const Value* Object::find(std::string_view name) const {
  for (const Member& member : members_)
    if (member.first == name) return &member.second;
  return nullptr;
}

Value* Object::find(std::string_view name) {
  for (Member& member : members_)
    if (member.first == name) return &member.second;
  return nullptr;
}

std::string Object::text(std::string_view name) const {
  const Value* member = find(name);
  return member == nullptr ? std::string() : member->text();
}

Value& Object::set(std::string name, Value value) {
  if (Value* present = find(name)) return *present = std::move(value);
  return append(std::move(name), std::move(value));
}

Value& Object::append(std::string name, Value value) {
  return members_.emplace_back(std::move(name), std::move(value)).second;
}

bool Object::erase(std::string_view name) {
  return std::erase_if(members_, [&](const Member& member) { return member.first == name; }) != 0;
}

bool Object::operator==(const Object& other) const {
  if (size() != other.size()) return false;
  // Most comparisons are between documents of one origin, whose order agrees.
  if (members_ == other.members_) return true;
  const auto mine = by_name(*this);
  const auto theirs = by_name(other);
  return std::ranges::equal(mine, theirs,
                            [](const Member* a, const Member* b) { return *a == *b; });
}

Value::Value(std::uint64_t v) {
  if (v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    data_ = static_cast<std::int64_t>(v);
  else
    data_ = v;
}

std::optional<std::int64_t> Value::as_i64() const {
  if (const auto* number = std::get_if<std::int64_t>(&data_)) return *number;
  return std::nullopt;
}

std::optional<std::uint64_t> Value::as_u64() const {
  if (const auto* number = std::get_if<std::uint64_t>(&data_)) return *number;
  const auto* number = std::get_if<std::int64_t>(&data_);
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

const Value* Value::find(std::string_view name) const {
  const Object* object = if_object();
  return object == nullptr ? nullptr : object->find(name);
}

std::string Value::text(std::string_view name) const {
  const Object* object = if_object();
  return object == nullptr ? std::string() : object->text(name);
}

std::string_view Value::type_name() const {
  struct Name {
    std::string_view operator()(std::nullptr_t) const { return "null"; }
    std::string_view operator()(bool) const { return "boolean"; }
    std::string_view operator()(std::int64_t) const { return "number"; }
    std::string_view operator()(std::uint64_t) const { return "number"; }
    std::string_view operator()(double) const { return "number"; }
    std::string_view operator()(const std::string&) const { return "string"; }
    std::string_view operator()(const Array&) const { return "array"; }
    std::string_view operator()(const Object&) const { return "object"; }
  };
  return std::visit(Name{}, data_);
}

std::string pointer(std::string_view base, std::string_view name) {
  std::string out(base);
  out += '/';
  for (char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::string pointer(std::string_view base, std::size_t index) {
  return std::string(base) + "/" + std::to_string(index);
}

}  // namespace nexcage::json

#include "nexcage/vm/host/launch.h"

#include <concepts>
#include <type_traits>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::host {
namespace {

using json::Array;
using json::Object;
using json::Value;

/// One list of fields for both directions: Writer makes members, Reader takes them.
class Writer {
 public:
  void operator()(const char* name, const std::string& value) { out_.append(name, value); }
  void operator()(const char* name, bool value) { out_.append(name, value); }
  void operator()(const char* name, std::integral auto value) {
    if constexpr (std::is_signed_v<decltype(value)>)
      out_.append(name, static_cast<std::int64_t>(value));
    else
      out_.append(name, static_cast<std::uint64_t>(value));
  }
  template <class E>
    requires std::is_enum_v<E>
  void operator()(const char* name, E value) {
    (*this)(name, static_cast<std::uint64_t>(value));
  }
  void operator()(const char* name, const std::vector<std::string>& values) {
    out_.append(name, Array(values.begin(), values.end()));
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(const char* name, const T& value) {
    Writer inner;
    each(value, inner);
    out_.append(name, Value(std::move(inner.out_)));
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(const char* name, const std::vector<T>& values) {
    Array list;
    for (const T& value : values) {
      Writer inner;
      each(value, inner);
      list.emplace_back(std::move(inner.out_));
    }
    out_.append(name, Value(std::move(list)));
  }
  Object take() { return std::move(out_); }

 private:
  Object out_;
};

/// Remembers the first member that does not fit; the others then do not matter.
class Reader {
 public:
  explicit Reader(const Value& value) : value_(value) {}
  void operator()(const char* name, std::string& out) {
    const Value* found = member(name);
    if (found != nullptr && found->if_string() != nullptr)
      out = *found->if_string();
    else
      misfit(name);
  }
  void operator()(const char* name, bool& out) {
    const Value* found = member(name);
    if (found != nullptr && found->if_bool() != nullptr)
      out = *found->if_bool();
    else
      misfit(name);
  }
  template <std::integral I>
  void operator()(const char* name, I& out) {
    const Value* found = member(name);
    if constexpr (std::is_signed_v<I>) {
      const auto number = found != nullptr ? found->as_i64() : std::nullopt;
      if (number && std::in_range<I>(*number))
        out = static_cast<I>(*number);
      else
        misfit(name);
    } else {
      const auto number = found != nullptr ? found->as_u64() : std::nullopt;
      if (number && std::in_range<I>(*number))
        out = static_cast<I>(*number);
      else
        misfit(name);
    }
  }
  template <class E>
    requires std::is_enum_v<E>
  void operator()(const char* name, E& out) {
    std::uint64_t number = 0;
    (*this)(name, number);
    if (number <= 1)
      out = static_cast<E>(number);
    else
      misfit(name);
  }
  void operator()(const char* name, std::vector<std::string>& out) {
    for (const Value& one : list(name)) {
      if (one.if_string() == nullptr) misfit(name);
      out.push_back(one.text());
    }
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(const char* name, T& out) {
    const Value* found = member(name);
    if (found == nullptr) return misfit(name);
    read(*found, out);
  }
  template <class T>
    requires std::is_class_v<T>
  void operator()(const char* name, std::vector<T>& out) {
    for (const Value& one : list(name)) read(one, out.emplace_back());
  }
  const std::string& bad() const { return bad_; }

 private:
  template <class T>
  void read(const Value& value, T& out) {
    Reader inner(value);
    each(out, inner);
    if (!inner.bad_.empty()) misfit(inner.bad_);
  }
  const Value* member(const char* name) const { return value_.find(name); }
  Array list(const char* name) {
    const Value* found = member(name);
    if (found != nullptr && found->if_array() != nullptr) return *found->if_array();
    misfit(name);
    return {};
  }
  void misfit(const std::string& name) {
    if (bad_.empty()) bad_ = name;
  }
  const Value& value_;
  std::string bad_;
};

template <class T, class U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

void each(Is<qemu::Throttle> auto& self, auto& field) {
  field("read_bytes", self.read_bytes);
  field("write_bytes", self.write_bytes);
  field("read_operations", self.read_operations);
  field("write_operations", self.write_operations);
}

void each(Is<qemu::Disk> auto& self, auto& field) {
  field("fd", self.fd);
  field("serial", self.serial);
  field("qcow2", self.qcow2);
  field("read_only", self.read_only);
  field("device", self.device);
  field("throttle", self.throttle);
}

void each(Is<qemu::PortForward> auto& self, auto& field) {
  field("outer", self.outer);
  field("inner", self.inner);
}

void each(Is<qemu::Nic> auto& self, auto& field) {
  field("tap", self.tap);
  field("mac", self.mac);
  field("forwards", self.forwards);
}

void each(Is<qemu::Machine> auto& self, auto& field) {
  field("name", self.name);
  field("accelerator", self.accelerator);
  field("board", self.board);
  field("memory", self.memory);
  field("processors", self.processors);
  field("kernel", self.kernel);
  field("initrd", self.initrd);
  field("parameters", self.parameters);
  field("arguments", self.arguments);
  field("tsc_khz", self.tsc_khz);
  field("disks", self.disks);
  field("nics", self.nics);
}

void each(Is<Share> auto& self, auto& field) {
  field("source", self.source);
  field("tag", self.tag);
  field("file", self.file);
  field("read_only", self.read_only);
  field("recursive", self.recursive);
}

void each(Is<Forward> auto& self, auto& field) {
  field("listener", self.listener);
  field("outer", self.outer);
}

void each(Is<Launch> auto& self, auto& field) {
  field("qemu", self.qemu);
  field("machine", self.machine);
  field("forwards", self.forwards);
  field("shares", self.shares);
  field("virtiofsd", self.virtiofsd);
  field("dialect", self.dialect);
  field("state_dir", self.state_dir);
  field("cgroup_files", self.cgroup_files);
  field("terminal", self.terminal);
  field("rows", self.rows);
  field("columns", self.columns);
  field("persistent", self.persistent);
  field("boot_seconds", self.boot_seconds);
  field("start_seconds", self.start_seconds);
  field("oom_score", self.oom_score);
}

}  // namespace

std::string to_text(const Launch& launch) {
  Writer writer;
  each(launch, writer);
  return json::dump(Value(writer.take()));
}

Result<Launch> launch_from_text(std::string_view text) {
  NX_TRY(const Value value, json::parse(text));
  Launch launch;
  Reader reader(value);
  each(launch, reader);
  if (!reader.bad().empty())
    return fail(Errc::InvalidJson, "description of a machine: " + quote(reader.bad()));
  return launch;
}

}  // namespace nexcage::vm::host

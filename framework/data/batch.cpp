#include "framework/data/batch.h"

namespace mtrank {
namespace {

template <class Items, class Name>
int find(const Items& items, const std::string& wanted, Name name) {
  for (size_t i = 0; i < items.size(); ++i)
    if (name(items[i]) == wanted) return static_cast<int>(i);
  return -1;
}

}  // namespace

int InputSchema::feature(const std::string& name) const {
  return find(features, name, [](const FeatureInfo& f) { return f.name; });
}
int InputSchema::table(const std::string& name) const {
  return find(tables, name, [](const TableInfo& t) { return t.name; });
}
int InputSchema::label(const std::string& name) const {
  return find(labels, name, [](const LabelInfo& l) { return l.name; });
}
int InputSchema::condition(const std::string& text) const {
  return find(conditions, text, [](const std::string& s) { return s; });
}
int InputSchema::key(const std::string& column) const {
  return find(keys, column, [](const std::string& s) { return s; });
}

int InputSchema::dense_slots() const {
  int n = 0;
  for (const auto& f : features) n += f.kind == FeatureKind::dense;
  return n;
}
int InputSchema::id_slots() const { return static_cast<int>(features.size()) - dense_slots(); }

std::string BatchSource::key_value(int, uint64_t) const { return {}; }

}  // namespace mtrank

#include "framework/config/reference.h"

#include "framework/config/config.h"

namespace mtrank {
namespace {

template <class T>
ConfigSection section(const char* name, const char* title, const char* text = "") {
  return {name, title, text, describe_fields<T>()};
}

struct Top {
  int64_t version = 1;
  std::string name;
  int64_t seed = 1;
  Node extends;
  void fields(Fields& f) {
    f("version", version, "of the config format").min(1).max(1);
    f("name", name, "of the run; the file's name when not given");
    f("seed", seed, "of every random number").min(0);
    f("extends", extends, "a config, relative to this one, that this one is laid over; null takes a key out");
  }
};

struct CommonLayer {
  Name type;
  std::vector<Name> from;
  void fields(Fields& f) {
    f("type", type, "kind of layer, see `mtrank describe layers`").required();
    f("from", from,
      "layers above, features, groups of features, or `features` for all; the layer above when not given");
  }
};

struct Optimizers {
  DenseOptimizer dense;
  SparseOptimizer sparse;
  void fields(Fields& f) {
    f("dense_optimizer", dense, "of everything but the tables, under `train`");
    f("sparse_optimizer", sparse, "of the tables, under `train`; `optimizer` of a table replaces it");
  }
};

constexpr const char* kValues = R"md(## Values that are one text

| value | examples |
|---|---|
| initializer | `normal(0.01)`, `uniform(-0.1, 0.1)`, `constant(1)`, `zeros`, `fan_in` (uniform in ±1/sqrt(inputs)), `glorot` (uniform in ±sqrt(6/(inputs+outputs))), `he` (normal, sqrt(2/inputs)) |
| size | `512MiB`, `2GB`, `65536` |
| interval | `epoch`, `2 epochs`, `1000 steps`, `90 seconds`, `10 minutes`; a bare number counts steps |
| steps | an interval of epochs or steps |
| condition, over labels | `is_click == 1`, `is_click == 1 and rating >= 3` |
| expression, over tasks | `click * buy`, `0.3 * click + 0.7 * (cart + buy)` |

Inside `{ }` and `[ ]` a comma ends a value: quote `"uniform(-0.1, 0.1)"`.
`${NAME}` and `${NAME:-default}` in any value stand for environment variables, `$${` for `${`.
)md";

}  // namespace

std::vector<ConfigSection> config_sections() {
  return {
      section<Top>("config", "the top of a config"),
      section<DataConfig>("data", "files and how they are read"),
      section<Label>("labels", "what is predicted, by name",
                     "An empty field is a missing label: its task skips the row."),
      section<Table>(
          "tables", "embedding tables that are shared or special, by name",
          "A feature without `table` owns a table of its name. `defaults.table` holds keys for all of them."),
      section<Feature>("features", "what the model sees, by name"),
      section<CommonLayer>("model", "layers, by name", "The other keys of a layer belong to its type."),
      section<Task>("tasks", "what is learned, by name",
                    "`defaults.task` holds keys for all of them. Without `tasks`, one a label."),
      section<LossConfig>("losses", "what a task minimizes", "`loss: focal` is short for `loss: {type: focal}`."),
      section<TrainConfig>("train", "how the model is trained"),
      section<Optimizers>("optimizers", "update rules"),
      section<Schedule>("schedules", "how the learning rates change"),
      section<EvalConfig>("eval", "how the model is measured"),
      section<Output>("outputs", "what is scored, by name",
                      "`p: click` is short for `p: {expr: click}`. Without `outputs`, one a task."),
  };
}

ConfigSection config_section(std::string_view name) {
  for (ConfigSection& one : config_sections())
    if (one.name == name) return std::move(one);
  return {};
}

std::string section_markdown(const ConfigSection& one) {
  return "## " + one.name + ": " + one.title + "\n\n" + (one.text.empty() ? "" : one.text + "\n\n") +
         fields_markdown(one.fields);
}

std::string codes_markdown() {
  std::string out = "## Codes\n\nE is an error (exit code 2), W a warning.\n\n| code | |\n|---|---|\n";
#define MTRANK_CODE(id, name, title) out += "| " #id " | " title " |\n";
#include "framework/config/codes.def"
#undef MTRANK_CODE
  return out;
}

std::string metrics_markdown() {
  std::string out = "| metric | labels | |\n|---|---|---|\n";
  for (const MetricRule& rule : metric_rules()) {
    std::string doc = rule.doc;
    for (size_t i = 0; (i = doc.find('|', i)) != std::string::npos; i += 2) doc.insert(i, 1, '\\');
    const char* argument[] = {"", "(column)", "(bins)"};
    out += std::string("| `") + rule.name + argument[static_cast<int>(rule.argument)] + "` | " +
           (rule.task == MetricRule::Task::binary ? "0/1" : "regression") + " | " + doc + " |\n";
  }
  return out;
}

std::string config_reference_markdown() {
  std::string out = "# Config reference\n\nMade by `mtrank describe config --markdown`.\n";
  for (const ConfigSection& one : config_sections()) out += "\n" + section_markdown(one);
  out += std::string("\n") + kValues + "\n## Metrics\n\n" + metrics_markdown() + "\n" + codes_markdown();
  return out;
}

}  // namespace mtrank

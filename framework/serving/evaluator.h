#pragma once

#include <functional>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/metrics/eval_record.h"
#include "framework/serving/forward.h"

namespace mtrank {

/// Metrics of a config's tasks and labelled outputs over all rows of a source, computed from the scores of the forward
/// graph: what the trainer and `mtrank eval` both run.
class Evaluator {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// `forward` has the outputs of build_model(scoring). Everything must live as long as this.
  Evaluator(const Config& config, ForwardPass& forward, ThreadPool& pool);

  /// Scores the rest of the source's epoch. `step` is what the record says.
  EvalRecord run(BatchSource& source, const std::string& split, int64_t step, const Warn& warn);

 private:
  /// A column of scores that is measured against a label.
  struct Measured {
    std::string name;
    int output;
    std::string label, condition;
    std::vector<MetricSpec> metrics;
  };
  struct Columns {
    std::vector<std::vector<float>> prediction, label, weight;  // by measured
    std::vector<std::vector<uint64_t>> keys;                    // by key of the schema
  };
  std::vector<MetricSpec> metrics_for(const std::string& label) const;
  void collect(const Batch& batch, const InputSchema& schema, Columns& columns);

  const Config& config_;
  ForwardPass& forward_;
  ThreadPool& pool_;
  std::vector<Measured> measured_;
  std::vector<std::vector<float>> scores_;
};

/// What `best` compares: a task's metric, or the mean over the tasks that have it.
MetricValue best_value(const BestCall& best, const EvalRecord& record);

}  // namespace mtrank

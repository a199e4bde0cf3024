#pragma once

#include <functional>
#include <string>
#include <vector>

#include "framework/graph/builder.h"

/// One set of checks that every op, loss and layer passes. A case is a tiny graph; what is wrong comes back as text, so
/// that a test can see the checks fail as well.
namespace mtrank::testing {

struct ConformanceCase {
  std::string name;
  /// The ops of ops.def this case stands for, gradient ops too. Each must occur in its graph.
  std::vector<std::string> covers;
  /// Columns of the inputs. Each is looked up from a table, so that its gradient comes out.
  std::vector<int64_t> widths;
  /// Builds on the inputs and returns what is measured. A case that makes its own loss returns nothing. Values it binds
  /// are filled by name: "label" with 0 and 1, "weight" with weights, some 0, others with normal numbers.
  std::function<std::vector<ValueId>(Builder& builder, const std::vector<ValueId>& inputs)> build;
  /// False where no gradient flows through.
  bool differentiable = true;
};

/// How the inputs reach the case: as they are; or as columns of one wider value that is also read elsewhere, so that
/// rows are not contiguous and gradients are added to what stands there already.
enum class Reading { plain, shared };

Graph case_graph(const ConformanceCase& c, Reading reading, bool training = true);

/// Runs a case's graph once in float, on the numbers of the checks below.
void run_in_float(const Graph& graph);

/// Analytic gradients of every weight and input against central differences, in double.
std::vector<std::string> check_gradients(const ConformanceCase& c);
/// Outputs, loss and gradients in float against double.
std::vector<std::string> check_float(const ConformanceCase& c);
/// The same bits from every instruction set; outputs and gradients of inputs also for any split of the rows.
std::vector<std::string> check_bits(const ConformanceCase& c);
/// Weights' gradients added to what is there, where the plan allows it.
std::vector<std::string> check_accumulation(const ConformanceCase& c);
/// The graph stored for serving gives the same bits as the training graph's forward part. Not for dropout.
std::vector<std::string> check_scoring(const ConformanceCase& c);
/// Weights written to a safetensors file and read back give the same bits.
std::vector<std::string> check_saved_weights(const ConformanceCase& c);

/// The first four checks.
std::vector<std::string> check_case(const ConformanceCase& c);
/// One text, for failure messages.
std::string lines(const std::vector<std::string>& problems);

}  // namespace mtrank::testing

#include "framework/serving/forward.h"

#include <algorithm>

namespace mtrank {

int ForwardPass::output(const std::string& name) const {
  const std::vector<NamedValue>& outputs = graph().outputs;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].name == name) return static_cast<int>(i);
  return -1;
}

Forward::Forward(Graph graph, const InputSchema& schema, std::vector<View> params, std::vector<View> tables,
                 int threads)
    : plan_(make_plan(std::move(graph), kBlock)),
      binder_(plan_, schema),
      params_(std::move(params)),
      tables_(std::move(tables)) {
  const size_t total = plan_.packed_bytes + plan_.arena_bytes * static_cast<size_t>(threads);
  auto* at = memory_.get<std::byte>(total + 64);
  packed_ = at;
  at += plan_.packed_bytes;
  for (int t = 0; t < threads; ++t, at += plan_.arena_bytes) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->arena = at;
  }
}

void Forward::refresh(ThreadPool& pool) {
  pool.run(static_cast<int>(plan_.packed.size()),
           [&](int part, int) { pack_weight(plan_, static_cast<size_t>(part), params_, packed_); });
}

void Forward::run(ThreadPool& pool, const Batch& batch, std::vector<std::vector<float>>& scores) {
  scores.resize(plan_.graph.outputs.size());
  for (std::vector<float>& column : scores) column.resize(static_cast<size_t>(batch.rows));
  const int blocks = static_cast<int>((batch.rows + kBlock - 1) / kBlock);
  pool.run(blocks, [&](int block, int thread) {
    run_block(*workers_[static_cast<size_t>(thread)], batch, block * kBlock, scores);
  });
}

void Forward::run_block(Worker& worker, const Batch& batch, int64_t first, std::vector<std::vector<float>>& scores) {
  binder_.bind(batch, first, worker.inputs, worker.ids);
  const Bindings bindings{.params = params_,
                          .param_gradients = {},
                          .inputs = worker.inputs,
                          .ids = worker.ids,
                          .scalars = {},
                          .tables = tables_,
                          .sparse_gradients = {},
                          .losses = {},
                          .packed = packed_};
  const int64_t rows = std::min(kBlock, batch.rows - first);
  run_nodes(plan_, 0, plan_.graph.nodes.size(), bindings, {.count = rows}, StepInfo{}, worker.arena, worker.scratch);
  for (size_t o = 0; o < scores.size(); ++o) {
    const Place& place = plan_.place(plan_.graph.outputs[o].value);
    const auto* base = reinterpret_cast<const float*>(worker.arena + place.at) + place.column;
    for (int64_t r = 0; r < rows; ++r) scores[o][static_cast<size_t>(first + r)] = base[r * place.ld];
  }
}

}  // namespace mtrank

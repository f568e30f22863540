#include "weight_merge.h"

#include <algorithm>

#include "run_on_threads.h"

namespace redux {
namespace {

/** Bytes of packed `down` that stay in a core's second-level cache while a range of rows streams past. */
constexpr std::size_t kPackedBytes = 256 * 1024;
/** Elements a thread takes at a time: about a millisecond's work, so that threads end together and a cancel is soon seen. */
constexpr std::size_t kTaskElements = 1024 * 1024;

/** A range of rows and columns of one job. */
struct Task {
  const MergeJob* job;
  std::size_t first_row, rows;
  std::size_t first_column, columns;
};

const void* Advance(const void* data, NumberType type, std::size_t elements) {
  return static_cast<const char*>(data) + elements * SizeOf(type);
}

void* Advance(void* data, NumberType type, std::size_t elements) {
  return static_cast<char*>(data) + elements * SizeOf(type);
}

constexpr std::size_t RoundUp(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::size_t TotalRank(const MergeJob& job) {
  std::size_t rank = 0;
  for (const LowRankFactor& factor : job.low_rank) rank += factor.rank;
  return rank;
}

std::vector<Task> SplitIntoTasks(const Kernels& kernels, const std::vector<MergeJob>& jobs) {
  std::vector<Task> tasks;
  for (const MergeJob& job : jobs) {
    const std::size_t row_bytes = std::max<std::size_t>(TotalRank(job), 1) * sizeof(float);
    const std::size_t fitting = kPackedBytes / row_bytes / kernels.tile_columns * kernels.tile_columns;
    const std::size_t chunk = std::min(job.columns, std::max(fitting, kernels.tile_columns));
    for (std::size_t column = 0; column < job.columns; column += chunk) {
      const std::size_t columns = std::min(chunk, job.columns - column);
      const std::size_t task_rows = RoundUp(std::max<std::size_t>(kTaskElements / columns, 1), kernels.tile_rows);
      for (std::size_t row = 0; row < job.rows; row += task_rows) {
        tasks.push_back({&job, row, std::min(task_rows, job.rows - row), column, columns});
      }
    }
  }
  return tasks;
}

/** Computes one task; the buffers are kept from call to call because each thread runs many. */
class TaskRunner {
 public:
  explicit TaskRunner(const Kernels& kernels) : kernels_(kernels) {}

  void Run(const Task& task) {
    if (task.job->low_rank.empty() && task.job->dense.empty()) {
      Copy(task);
      return;
    }
    depth_ = TotalRank(*task.job);
    PackDown(task);
    packed_up_.resize(depth_ * kernels_.tile_rows);
    for (std::size_t row = 0; row < task.rows; row += kernels_.tile_rows) {
      const std::size_t rows = std::min(kernels_.tile_rows, task.rows - row);
      PackUp(task, task.first_row + row, rows);
      if (task.job->dense.empty()) {
        MergeRows(task, task.first_row + row, rows);
      } else {
        MergeRowsWithDense(task, task.first_row + row, rows);
      }
    }
  }

 private:
  static std::size_t Place(const Task& task, std::size_t row) {
    return row * task.job->columns + task.first_column;
  }

  void Copy(const Task& task) const {
    const MergeJob& job = *task.job;
    for (std::size_t row = task.first_row; row < task.first_row + task.rows; ++row) {
      const std::size_t place = Place(task, row);
      const void* source = Advance(job.base.data, job.base.type, place);
      void* target = Advance(job.output, job.output_type, place);
      if (source != target) kernels_.convert(source, job.base.type, target, job.output_type, task.columns);
    }
  }

  /** The columns of every factor's `down`, one below the other: panels of [depth, tile_columns]. */
  void PackDown(const Task& task) {
    const std::size_t panel = depth_ * kernels_.tile_columns;
    packed_down_.resize(RoundUp(task.columns, kernels_.tile_columns) * depth_);
    float* target = packed_down_.data();
    for (const LowRankFactor& factor : task.job->low_rank) {
      const void* source = Advance(factor.down.data, factor.down.type, task.first_column);
      kernels_.pack_down(source, factor.down.type, task.job->columns, factor.rank, task.columns, target, panel);
      target += factor.rank * kernels_.tile_columns;
    }
  }

  /** A tile's rows of every factor's `up`, times its scale, side by side and transposed: [depth, tile_rows]. */
  void PackUp(const Task& task, std::size_t first_row, std::size_t rows) {
    if (rows < kernels_.tile_rows) std::fill(packed_up_.begin(), packed_up_.end(), 0.0f);
    float* target = packed_up_.data();
    for (const LowRankFactor& factor : task.job->low_rank) {
      up_row_.resize(factor.rank);
      for (std::size_t r = 0; r < rows; ++r) {
        const void* source = Advance(factor.up.data, factor.up.type, (first_row + r) * factor.rank);
        kernels_.convert(source, factor.up.type, up_row_.data(), NumberType::kFloat32, factor.rank);
        for (std::size_t k = 0; k < factor.rank; ++k) target[k * kernels_.tile_rows + r] = factor.scale * up_row_[k];
      }
      target += factor.rank * kernels_.tile_rows;
    }
  }

  void MergeTiles(const void* base, NumberType base_type, void* output, NumberType output_type, std::size_t stride, std::size_t rows,
                  std::size_t columns) const {
    for (std::size_t column = 0; column < columns; column += kernels_.tile_columns) {
      kernels_.merge_tile(packed_up_.data(), packed_down_.data() + column * depth_, depth_, Advance(base, base_type, column), base_type,
                          Advance(output, output_type, column), output_type, stride, rows,
                          std::min(kernels_.tile_columns, columns - column));
    }
  }

  void MergeRows(const Task& task, std::size_t first_row, std::size_t rows) const {
    const MergeJob& job = *task.job;
    const std::size_t place = Place(task, first_row);
    MergeTiles(Advance(job.base.data, job.base.type, place), job.base.type, Advance(job.output, job.output_type, place), job.output_type,
               job.columns, rows, task.columns);
  }

  /** Sums a few rows in 32 bits, where dense changes join them, and rounds to the output's type once. */
  void MergeRowsWithDense(const Task& task, std::size_t first_row, std::size_t rows) {
    const MergeJob& job = *task.job;
    sums_.resize(rows * task.columns);
    addend_.resize(task.columns);
    for (std::size_t r = 0; r < rows; ++r) {
      const void* source = Advance(job.base.data, job.base.type, Place(task, first_row + r));
      kernels_.convert(source, job.base.type, sums_.data() + r * task.columns, NumberType::kFloat32, task.columns);
    }
    if (depth_ > 0) {
      MergeTiles(sums_.data(), NumberType::kFloat32, sums_.data(), NumberType::kFloat32, task.columns, rows, task.columns);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t place = Place(task, first_row + r);
      float* sum = sums_.data() + r * task.columns;
      for (const DenseFactor& factor : job.dense) {
        const void* source = Advance(factor.values.data, factor.values.type, place);
        kernels_.convert(source, factor.values.type, addend_.data(), NumberType::kFloat32, task.columns);
        for (std::size_t c = 0; c < task.columns; ++c) sum[c] += factor.scale * addend_[c];
      }
      kernels_.convert(sum, NumberType::kFloat32, Advance(job.output, job.output_type, place), job.output_type, task.columns);
    }
  }

  const Kernels& kernels_;
  std::size_t depth_ = 0;
  std::vector<float> packed_down_;
  std::vector<float> packed_up_;
  std::vector<float> up_row_;
  std::vector<float> sums_;
  std::vector<float> addend_;
};

}  // namespace

bool MergeWeights(const Kernels& kernels, const std::vector<MergeJob>& jobs, std::size_t threads, const std::atomic<bool>& cancelled) {
  const std::vector<Task> tasks = SplitIntoTasks(kernels, jobs);
  std::atomic<std::size_t> next{0};
  RunOnThreads(std::min(threads, tasks.size()), [&] {
    TaskRunner runner(kernels);
    while (!cancelled.load(std::memory_order_relaxed)) {
      const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= tasks.size()) break;
      runner.Run(tasks[index]);
    }
  });
  return !cancelled.load(std::memory_order_relaxed);
}

}  // namespace redux

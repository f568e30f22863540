#include "kind_operations.h"

#include <cmath>
#include <cstdint>

#include "native_error.h"

namespace redux {

namespace {
constexpr double kLargestInt = 2147483647.0;

[[noreturn]] void Fail() {
  throw NativeError("delta.invalid", "A change reaches beyond its factors or its weight. Make the delta again.");
}

unsigned long long TilesOf(int size, int tile) {
  return (static_cast<unsigned long long>(size) + static_cast<unsigned long long>(tile) - 1) / static_cast<unsigned long long>(tile);
}

/** Reads a program's numbers one after the other and looks whether what they say stays inside the buffers. */
class Reader {
 public:
  Reader(const KindProgram& program, const std::vector<CUdeviceptr>& scratch) : program_(program) {
    buffers_.push_back(program.base);
    buffers_.push_back(program.out);
    buffers_.insert(buffers_.end(), program.factors.begin(), program.factors.end());
    for (std::size_t i = 0; i < scratch.size(); ++i) buffers_.push_back({scratch[i], kGpuFloat32, program.scratch[i]});
  }

  bool AtEnd() const {
    return next_ == program_.length;
  }
  double Number() {
    if (AtEnd()) Fail();
    return program_.code[next_++];
  }
  float Float() {
    return static_cast<float>(Number());
  }
  /** A whole number that is not negative. */
  int Int() {
    const double value = Number();
    if (!(value >= 0 && value <= kLargestInt) || value != std::floor(value)) Fail();
    return static_cast<int>(value);
  }
  int Positive() {
    const int value = Int();
    if (value == 0) Fail();
    return value;
  }
  /** The buffer that is read next. */
  const KindBuffer& PeekBuffer() {
    const KindBuffer& buffer = Buffer();
    --next_;
    return buffer;
  }
  const KindBuffer& Buffer() {
    const auto index = static_cast<std::size_t>(Int());
    if (index >= buffers_.size()) Fail();
    return buffers_[index];
  }
  /** Fails where a buffer does not have so many numbers. */
  static void CheckCount(const KindBuffer& buffer, unsigned long long count) {
    if (count > buffer.count) Fail();
  }
  /** The matrix of one of several, `step` numbers apart. */
  GpuMatrix Matrix(int rows, int columns, int batches = 1, int step = 0) {
    const KindBuffer& buffer = Buffer();
    const auto offset = static_cast<unsigned long long>(Int());
    GpuMatrix matrix{};
    matrix.row_step = Int();
    matrix.column_step = Int();
    const auto last = [](int count, int apart) { return static_cast<unsigned long long>(count - 1) * static_cast<unsigned long long>(apart); };
    CheckCount(buffer, offset + last(rows, matrix.row_step) + last(columns, matrix.column_step) + last(batches, step) + 1);
    matrix.data = AddressIn(buffer, offset);
    matrix.type = buffer.type;
    return matrix;
  }
  static CUdeviceptr AddressIn(const KindBuffer& buffer, unsigned long long offset) {
    return buffer.address + offset * (buffer.type == kGpuFloat32 ? 4 : 2);
  }
  /** A buffer that is written to: scratch memory. */
  const KindBuffer& Scratch(unsigned long long count) {
    const KindBuffer& buffer = Buffer();
    if (&buffer < buffers_.data() + 2 + program_.factors.size()) Fail();
    CheckCount(buffer, count);
    return buffer;
  }
  /** Fails where what is read stands in a buffer that other threads are writing to. */
  static void CheckApart(const KindBuffer& written, CUdeviceptr read) {
    if (read >= written.address && read < AddressIn(written, written.count)) Fail();
  }
  const KindProgram& program() const {
    return program_;
  }
  bool IsOut(const KindBuffer& buffer) const {
    return &buffer == buffers_.data() + 1;
  }

 private:
  const KindProgram& program_;
  std::vector<KindBuffer> buffers_;
  std::size_t next_ = 0;
};

GpuProduct ReadProduct(Reader& reader) {
  GpuProduct job{};
  job.rows = reader.Positive();
  job.columns = reader.Positive();
  job.depth = reader.Positive();
  job.batches = reader.Positive();
  job.left_step = reader.Int();
  job.right_step = reader.Int();
  job.out_step = reader.Int();
  job.left = reader.Matrix(job.rows, job.depth, job.batches, job.left_step);
  job.right = reader.Matrix(job.depth, job.columns, job.batches, job.right_step);
  const KindBuffer& out = reader.PeekBuffer();
  job.out = reader.Matrix(job.rows, job.columns, job.batches, job.out_step);
  if (job.out.type != kGpuFloat32) Fail();
  for (const GpuMatrix& matrix : {job.left, job.right}) Reader::CheckApart(out, matrix.data);
  return job;
}

GpuStep ReadStep(Reader& reader) {
  GpuStep step{};
  step.kind = reader.Int();
  step.first_row = reader.Int();
  step.end_row = reader.Int();
  step.depth = reader.Int();
  step.second_depth = reader.Int();
  step.block_rows = reader.Positive();
  step.block_columns = reader.Positive();
  step.scale = reader.Float();
  step.offset = reader.Float();
  const int columns = reader.program().columns;
  const int rows = step.end_row - step.first_row;
  if (rows <= 0 || step.end_row > reader.program().rows || step.kind > kStepScale) Fail();
  if (step.kind == kStepLowRank || step.kind == kStepHadamard) {
    if (step.depth == 0) Fail();
    step.a = reader.Matrix(rows, step.depth);
    step.b = reader.Matrix(step.depth, columns);
    if (step.kind == kStepLowRank) return step;
    if (step.second_depth == 0) Fail();
    step.c = reader.Matrix(rows, step.second_depth);
    step.d = reader.Matrix(step.second_depth, columns);
    return step;
  }
  step.a = reader.Matrix(static_cast<int>(TilesOf(rows, step.block_rows)), static_cast<int>(TilesOf(columns, step.block_columns)));
  if (step.kind == kStepKronecker) step.b = reader.Matrix(step.block_rows, step.block_columns);
  return step;
}

GpuPass ReadPass(Reader& reader, int place, std::vector<GpuStep>& steps) {
  GpuPass job{};
  const KindBuffer& from = reader.Buffer();
  const KindBuffer& to = reader.Buffer();
  job.from = from.address;
  job.from_type = from.type;
  job.to = to.address;
  job.to_type = to.type;
  job.rows = reader.program().rows;
  job.columns = reader.program().columns;
  job.sum_axis = reader.Int();
  job.sum_first_row = reader.Int();
  job.sum_end_row = reader.Int();
  const int count = reader.Int();
  job.first_step = static_cast<int>(steps.size());
  job.step_count = count;
  for (int i = 0; i < count; ++i) {
    steps.push_back(ReadStep(reader));
    const GpuStep& step = steps.back();
    for (const GpuMatrix& matrix : {step.a, step.b, step.c, step.d}) Reader::CheckApart(to, matrix.data);
  }
  const auto rows = static_cast<unsigned long long>(job.rows);
  const auto columns = static_cast<unsigned long long>(job.columns);
  Reader::CheckCount(from, rows * columns);
  if (job.sum_axis == kSumNothing) {
    Reader::CheckCount(to, rows * columns);
    job.place = reader.IsOut(to) ? place : 0;
  } else {
    if (job.sum_axis > kSumColumns || to.type != kGpuFloat32 || reader.IsOut(to)) Fail();
    Reader::CheckCount(to, job.sum_axis == kSumRows ? TilesOf(job.columns, kKindColumns) * rows : TilesOf(job.rows, kKindRows) * columns);
  }
  return job;
}

GpuNorms ReadNorms(Reader& reader) {
  GpuNorms job{};
  const KindBuffer& sums = reader.Buffer();
  job.count = reader.Positive();
  job.out = reader.Scratch(static_cast<unsigned long long>(job.count)).address;
  job.magnitude = reader.Matrix(job.count, 1);
  job.tiles = reader.Positive();
  job.stride = reader.Int();
  job.kernel = reader.Positive();
  job.first = reader.Int();
  job.is_relative = reader.Int();
  job.strength = reader.Float();
  const unsigned long long in_row = static_cast<unsigned long long>(job.count) * static_cast<unsigned long long>(job.kernel);
  const unsigned long long before = static_cast<unsigned long long>(job.tiles - 1) * static_cast<unsigned long long>(job.stride);
  Reader::CheckCount(sums, before + static_cast<unsigned long long>(job.first) + in_row);
  if (sums.type != kGpuFloat32) Fail();
  job.sums = sums.address;
  return job;
}

GpuCayley ReadCayley(Reader& reader) {
  GpuCayley job{};
  const KindBuffer& from = reader.Buffer();
  job.from = from.address;
  job.from_type = from.type;
  job.count = reader.Positive();
  job.size = reader.Positive();
  if (job.size > kLargestCayley) Fail();
  const auto size = static_cast<unsigned long long>(job.size);
  job.out = reader.Scratch(static_cast<unsigned long long>(job.count) * size * size).address;
  job.is_triangle = reader.Int();
  job.limited = reader.Int();
  job.largest = reader.Float();
  job.factor = reader.Float();
  job.strength = reader.Float();
  Reader::CheckCount(from, static_cast<unsigned long long>(job.count) * (job.is_triangle ? size * (size - 1) / 2 : size * size));
  return job;
}

GpuRotation ReadRotation(Reader& reader) {
  GpuRotation job{};
  const KindBuffer& from = reader.Buffer();
  const KindBuffer& out = reader.Buffer();
  const auto offset = static_cast<unsigned long long>(reader.Int());
  const KindBuffer& rotations = reader.Buffer();
  const auto rotations_offset = static_cast<unsigned long long>(reader.Int());
  job.from = Reader::AddressIn(from, offset);
  job.from_type = from.type;
  job.out = Reader::AddressIn(out, offset);
  job.rotations = Reader::AddressIn(rotations, rotations_offset);
  job.length = reader.Positive();
  job.others = reader.Positive();
  job.axis_step = reader.Positive();
  job.other_step = reader.Positive();
  job.size = reader.Positive();
  job.is_shared = reader.Int();
  job.part = reader.Positive();
  job.run = reader.Positive();
  const auto unsigned_of = [](int value) { return static_cast<unsigned long long>(value); };
  const unsigned long long last = unsigned_of(job.length - 1) * unsigned_of(job.axis_step) + unsigned_of(job.others - 1) * unsigned_of(job.other_step);
  Reader::CheckCount(from, offset + last + 1);
  Reader::CheckCount(out, offset + last + 1);
  const unsigned long long blocks = job.is_shared ? 1 : unsigned_of(job.length / job.size);
  Reader::CheckCount(rotations, rotations_offset + blocks * unsigned_of(job.size) * unsigned_of(job.size));
  const int runs = job.part / job.run;
  const bool fits = job.length % job.size == 0 && job.length % job.part == 0 && job.part % job.run == 0 && (runs == 1 || runs % 2 == 0);
  if (!fits || out.type != kGpuFloat32 || reader.IsOut(out) || rotations.type != kGpuFloat32) Fail();
  for (const CUdeviceptr read : {job.from, job.rotations}) Reader::CheckApart(out, read);
  return job;
}

struct Blocks {
  unsigned long long operator()(const GpuProduct& job) const {
    return TilesOf(job.rows, kKindRows) * TilesOf(job.columns, kKindColumns) * static_cast<unsigned long long>(job.batches);
  }
  unsigned long long operator()(const GpuPass& job) const {
    return TilesOf(job.rows, kKindRows) * TilesOf(job.columns, kKindColumns);
  }
  unsigned long long operator()(const GpuNorms& job) const {
    return TilesOf(job.count, kElementThreads);
  }
  unsigned long long operator()(const GpuCayley& job) const {
    return static_cast<unsigned long long>(job.count);
  }
  unsigned long long operator()(const GpuRotation& job) const {
    const int blocks = job.length / job.size;
    const unsigned long long along = job.size >= kKindRows
                                         ? static_cast<unsigned long long>(blocks) * TilesOf(job.size, kKindRows)
                                         : TilesOf(blocks, kKindRows / job.size);
    return along * TilesOf(job.others, kKindColumns);
  }
};
}  // namespace

unsigned long long BlocksOf(const KindOperation& operation) {
  return std::visit(Blocks(), operation);
}

std::vector<KindOperation> ReadOperations(const KindProgram& program, const std::vector<CUdeviceptr>& scratch, int place,
                                          std::vector<GpuStep>& steps) {
  std::vector<KindOperation> operations;
  Reader reader(program, scratch);
  while (!reader.AtEnd()) {
    switch (static_cast<KindKernel>(reader.Int())) {
      case KindKernel::kProducts:
        operations.emplace_back(ReadProduct(reader));
        break;
      case KindKernel::kPasses:
        operations.emplace_back(ReadPass(reader, place, steps));
        break;
      case KindKernel::kNorms:
        operations.emplace_back(ReadNorms(reader));
        break;
      case KindKernel::kCayley:
        operations.emplace_back(ReadCayley(reader));
        break;
      case KindKernel::kRotations:
        operations.emplace_back(ReadRotation(reader));
        break;
      default:
        Fail();
    }
  }
  return operations;
}

}  // namespace redux

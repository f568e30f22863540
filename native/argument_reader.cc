#include "argument_reader.h"

#include <cmath>

#include "memory_ranges.h"

namespace redux {

namespace {
constexpr std::size_t kMostThreads = 256;
/** Of rows, columns or rank: products of two stay far below 2^64. */
constexpr std::size_t kLargestSide = std::size_t{1} << 31;
/** Of a place in a file: whole numbers beyond are not exact in JavaScript. */
constexpr std::size_t kLargestPlace = (std::size_t{1} << 53) - 1;

std::string Element(const std::string& name, std::uint32_t index) {
  return name + "[" + std::to_string(index) + "]";
}
}  // namespace

ArgumentReader::ArgumentReader(Napi::Env env) : env_(env), arrays_(Napi::Array::New(env)) {}

void ArgumentReader::Fail(const std::string& message) {
  if (failed_) return;
  failed_ = true;
  Napi::TypeError::New(env_, message).ThrowAsJavaScriptException();
}

Napi::Object ArgumentReader::ReadObject(const Napi::Value& value, const std::string& name) {
  if (!failed_ && value.IsObject()) return value.As<Napi::Object>();
  Fail(name + " must be an object.");
  return Napi::Object::New(env_);
}

Napi::Array ArgumentReader::ReadArray(const Napi::Value& value, const std::string& name) {
  if (!failed_ && value.IsArray()) return value.As<Napi::Array>();
  Fail(name + " must be an array.");
  return Napi::Array::New(env_);
}

std::size_t ArgumentReader::ReadCount(const Napi::Value& value, const std::string& name, std::size_t most, std::size_t least) {
  if (failed_) return least;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  const bool in_range = number >= static_cast<double>(least) && number <= static_cast<double>(most);
  if (in_range && number == std::floor(number)) return static_cast<std::size_t>(number);
  Fail(name + " must be a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ".");
  return least;
}

float ArgumentReader::ReadScale(const Napi::Value& value, const std::string& name) {
  if (!failed_ && value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (std::isfinite(number)) return static_cast<float>(number);
  }
  Fail(name + " must be a finite number.");
  return 0;
}

std::size_t ArgumentReader::ReadThreads(const Napi::Value& value) {
  return ReadCount(value, "threads", kMostThreads);
}

NumberType ArgumentReader::ReadType(const Napi::Value& value, const std::string& name) {
  const std::string type = !failed_ && value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (type == "F32") return NumberType::kFloat32;
  if (type == "F16") return NumberType::kFloat16;
  if (type == "BF16") return NumberType::kBfloat16;
  Fail(name + " must be \"F32\", \"F16\" or \"BF16\".");
  return NumberType::kFloat32;
}

Buffer ArgumentReader::ReadBuffer(const Napi::Value& value, const std::string& name) {
  Buffer buffer;
  const Napi::Object object = ReadObject(value, name);
  if (failed_) return buffer;

  buffer.type = ReadType(object.Get("dtype"), name + ".dtype");
  if (failed_) return buffer;

  const Napi::Value data = object.Get("data");
  if (!data.IsTypedArray()) {
    Fail(name + ".data must be a typed array.");
    return buffer;
  }
  const Napi::TypedArray array = data.As<Napi::TypedArray>();
  if (array.ByteLength() % SizeOf(buffer.type) != 0) {
    Fail(name + ".data has " + std::to_string(array.ByteLength()) + " bytes, which is no whole number of " +
         object.Get("dtype").As<Napi::String>().Utf8Value() + " values.");
    return buffer;
  }
  arrays_.Set(arrays_.Length(), array);
  buffer.data = static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  buffer.elements = array.ByteLength() / SizeOf(buffer.type);
  return buffer;
}

Buffer ArgumentReader::ReadMatrix(const Napi::Value& value, const std::string& name, std::size_t rows, std::size_t columns) {
  const Buffer buffer = ReadBuffer(value, name);
  if (!failed_ && buffer.elements != rows * columns) {
    Fail(name + ".data holds " + std::to_string(buffer.elements) + " values, but " + std::to_string(rows) + " x " +
         std::to_string(columns) + " = " + std::to_string(rows * columns) + " are needed.");
  }
  return buffer;
}

LowRankFactor ArgumentReader::ReadLowRankFactor(const Napi::Value& value, const std::string& name, const MergeJob& job) {
  const Napi::Object object = ReadObject(value, name);
  LowRankFactor factor{};
  factor.rank = ReadCount(object.Get("rank"), name + ".rank", kLargestSide);
  factor.scale = ReadScale(object.Get("scale"), name + ".scale");
  const Buffer up = ReadMatrix(object.Get("up"), name + ".up", job.rows, factor.rank);
  const Buffer down = ReadMatrix(object.Get("down"), name + ".down", factor.rank, job.columns);
  factor.up = {up.data, up.type};
  factor.down = {down.data, down.type};
  return factor;
}

DenseFactor ArgumentReader::ReadDenseFactor(const Napi::Value& value, const std::string& name, const MergeJob& job) {
  const Napi::Object object = ReadObject(value, name);
  const Buffer values = ReadMatrix(object.Get("values"), name + ".values", job.rows, job.columns);
  return {{values.data, values.type}, ReadScale(object.Get("scale"), name + ".scale")};
}

MergeJob ArgumentReader::ReadJob(const Napi::Value& value, const std::string& name) {
  const Napi::Object object = ReadObject(value, name);
  MergeJob job{};
  job.rows = ReadCount(object.Get("rows"), name + ".rows", kLargestSide);
  job.columns = ReadCount(object.Get("columns"), name + ".columns", kLargestSide);
  const Buffer base = ReadMatrix(object.Get("base"), name + ".base", job.rows, job.columns);
  const Buffer output = ReadMatrix(object.Get("output"), name + ".output", job.rows, job.columns);
  job.base = {base.data, base.type};
  job.output = output.data;
  job.output_type = output.type;

  const Napi::Array low_rank = ReadArray(object.Get("lowRank"), name + ".lowRank");
  for (std::uint32_t i = 0; i < low_rank.Length() && !failed_; ++i) {
    job.low_rank.push_back(ReadLowRankFactor(low_rank.Get(i), Element(name + ".lowRank", i), job));
  }
  const Napi::Array dense = ReadArray(object.Get("dense"), name + ".dense");
  for (std::uint32_t i = 0; i < dense.Length() && !failed_; ++i) {
    job.dense.push_back(ReadDenseFactor(dense.Get(i), Element(name + ".dense", i), job));
  }
  return job;
}

std::vector<MergeJob> ArgumentReader::ReadJobs(const Napi::Value& value) {
  std::vector<MergeJob> jobs;
  const Napi::Array array = ReadArray(value, "jobs");
  for (std::uint32_t i = 0; i < array.Length() && !failed_; ++i) {
    const Napi::HandleScope scope(env_);
    jobs.push_back(ReadJob(array.Get(i), Element("jobs", i)));
  }
  if (!failed_) CheckOverlaps(jobs);
  return jobs;
}

std::vector<std::string> ArgumentReader::ReadFiles(const Napi::Value& value) {
  std::vector<std::string> files;
  const Napi::Array array = ReadArray(value, "files");
  for (std::uint32_t i = 0; i < array.Length() && !failed_; ++i) {
    const Napi::Value path = array.Get(i);
    if (path.IsString()) {
      files.push_back(path.As<Napi::String>().Utf8Value());
    } else {
      Fail(Element("files", i) + " must be a string.");
    }
  }
  return files;
}

FileRange ArgumentReader::ReadRange(const Napi::Value& value, const std::string& name, std::size_t files) {
  const Napi::Object object = ReadObject(value, name);
  FileRange range{};
  if (files == 0) Fail(name + " is a range of no file.");
  range.file = ReadCount(object.Get("file"), name + ".file", files - 1, 0);
  range.offset = ReadCount(object.Get("offset"), name + ".offset", kLargestPlace, 0);
  range.length = ReadCount(object.Get("length"), name + ".length", kLargestPlace, 0);
  const Napi::Value type = object.Get("dtype");
  if (!type.IsUndefined()) range.type = ReadType(type, name + ".dtype");
  return range;
}

std::vector<FileRange> ArgumentReader::ReadRanges(const Napi::Value& value, std::size_t files) {
  std::vector<FileRange> ranges;
  const Napi::Array array = ReadArray(value, "ranges");
  for (std::uint32_t i = 0; i < array.Length() && !failed_; ++i) {
    const Napi::HandleScope scope(env_);
    ranges.push_back(ReadRange(array.Get(i), Element("ranges", i), files));
  }
  return ranges;
}

/** An output may be its own base, number for number; any other sharing would make the result depend on the threads. */
void ArgumentReader::CheckOverlaps(const std::vector<MergeJob>& jobs) {
  MemoryRanges outputs;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    outputs.Add(jobs[i].output, jobs[i].rows * jobs[i].columns * SizeOf(jobs[i].output_type), i);
  }
  if (const auto pair = outputs.FindOverlap()) {
    Fail("jobs[" + std::to_string(pair->first) + "] and jobs[" + std::to_string(pair->second) + "] write to the same memory.");
    return;
  }
  for (std::size_t i = 0; i < jobs.size() && !failed_; ++i) {
    const MergeJob& job = jobs[i];
    const auto check = [&](const Matrix& matrix, std::size_t elements, bool is_base) {
      const auto writer = outputs.FindOwner(matrix.data, elements * SizeOf(matrix.type));
      const bool in_place = is_base && writer == i && matrix.data == job.output && matrix.type == job.output_type;
      if (writer && !in_place) {
        Fail("jobs[" + std::to_string(i) + "] reads memory that jobs[" + std::to_string(*writer) + "] writes to.");
      }
    };
    check(job.base, job.rows * job.columns, true);
    for (const LowRankFactor& factor : job.low_rank) {
      check(factor.up, job.rows * factor.rank, false);
      check(factor.down, factor.rank * job.columns, false);
    }
    for (const DenseFactor& factor : job.dense) check(factor.values, job.rows * job.columns, false);
  }
}

}  // namespace redux

#pragma once

#include <napi.h>

#include <cstddef>
#include <string>
#include <vector>

#include "md5/range_digest.h"
#include "number_type.h"
#include "weight_merge.h"

namespace redux {

/** Memory of JavaScript that an asynchronous call reads and writes. */
struct Buffer {
  void* data = nullptr;
  NumberType type = NumberType::kFloat32;
  std::size_t elements = 0;
};

/**
 * Turns JavaScript values into what the C++ side works on, and checks every size. After the first problem nothing more is read:
 * `Failed` is true and a JavaScript exception, which names the argument, is pending. Positions in names are as JavaScript
 * would write them: `jobs[3].lowRank[0].up`.
 */
class ArgumentReader {
 public:
  explicit ArgumentReader(Napi::Env env);

  bool Failed() const {
    return failed_;
  }

  std::size_t ReadThreads(const Napi::Value& value);
  /** A typed array `{data, dtype}` of any kind whose bytes are numbers of the dtype "F32", "F16" or "BF16". */
  Buffer ReadBuffer(const Napi::Value& value, const std::string& name);
  std::vector<MergeJob> ReadJobs(const Napi::Value& value);
  std::vector<std::string> ReadFiles(const Napi::Value& value);
  /** @param files how many there are for a range to name one of */
  std::vector<FileRange> ReadRanges(const Napi::Value& value, std::size_t files);

  void Fail(const std::string& message);

  /** Every array read so far, to be referenced for as long as its memory is used. */
  Napi::Array Arrays() const {
    return arrays_;
  }

 private:
  Buffer ReadMatrix(const Napi::Value& value, const std::string& name, std::size_t rows, std::size_t columns);
  MergeJob ReadJob(const Napi::Value& value, const std::string& name);
  FileRange ReadRange(const Napi::Value& value, const std::string& name, std::size_t files);
  NumberType ReadType(const Napi::Value& value, const std::string& name);
  LowRankFactor ReadLowRankFactor(const Napi::Value& value, const std::string& name, const MergeJob& job);
  DenseFactor ReadDenseFactor(const Napi::Value& value, const std::string& name, const MergeJob& job);
  std::size_t ReadCount(const Napi::Value& value, const std::string& name, std::size_t most, std::size_t least = 1);
  float ReadScale(const Napi::Value& value, const std::string& name);
  Napi::Object ReadObject(const Napi::Value& value, const std::string& name);
  Napi::Array ReadArray(const Napi::Value& value, const std::string& name);
  void CheckOverlaps(const std::vector<MergeJob>& jobs);

  Napi::Env env_;
  Napi::Array arrays_;
  bool failed_ = false;
};

}  // namespace redux

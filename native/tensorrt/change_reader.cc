#include "change_reader.h"

#include <cstdint>
#include <string>

#include "../cuda/native_error.h"
#include "object_reader.h"

namespace redux {

namespace {
/** A row of `factors`. */
struct FactorRow {
  double source;  // A place in `files`, or -1 minus one in `data`.
  double offset;  // Bytes, of a file.
  double count;   // Numbers, of a file.
  double type;    // A GpuType.
};

/** A row of `terms`. */
struct TermRow {
  double change;  // A place in `names`.
  double rank;
  double scale;
  double up;    // A row of `factors`.
  double down;  // The same; -1 where the rank is 0.
};

[[noreturn]] void Fail(const char* table) {
  throw NativeError("engine.failed", std::string("The native backend was called with wrong changes: ") + table + ".");
}

/** A Float64Array as rows. */
template <typename Row>
class Table {
 public:
  Table(const Napi::Object& object, const char* name) : name_(name) {
    const Napi::Value value = object.Get(name);
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) Fail(name);
    const Napi::Float64Array array = value.As<Napi::Float64Array>();
    constexpr std::size_t kColumns = sizeof(Row) / sizeof(double);
    if (array.ElementLength() % kColumns != 0) Fail(name);
    rows_ = reinterpret_cast<const Row*>(array.Data());
    count_ = array.ElementLength() / kColumns;
  }

  const Row& At(double row) const {
    if (!(row >= 0 && row < static_cast<double>(count_))) Fail(name_);
    return rows_[static_cast<std::size_t>(row)];
  }
  const Row* begin() const {
    return rows_;
  }
  const Row* end() const {
    return rows_ + count_;
  }

 private:
  const char* name_;
  const Row* rows_ = nullptr;
  std::size_t count_ = 0;
};

class FactorReader {
 public:
  explicit FactorReader(const Napi::Object& packed)
      : rows_(packed, "factors"), files_(ReadStrings(packed, "files")), data_(ReadArray(packed, "data")) {}

  HostNumbers Read(double row) const {
    const FactorRow& from = rows_.At(row);
    HostNumbers numbers;
    if (from.type != kGpuFloat32 && from.type != kGpuFloat16 && from.type != kGpuBfloat16) Fail("factors");
    numbers.type = static_cast<GpuType>(from.type);
    if (from.source >= 0) {
      if (from.source >= static_cast<double>(files_.size())) Fail("files");
      numbers.file = files_[static_cast<std::size_t>(from.source)];
      numbers.offset = static_cast<std::uint64_t>(from.offset);
      numbers.count = static_cast<std::size_t>(from.count);
      return numbers;
    }
    const Napi::Value value = data_.Get(static_cast<std::uint32_t>(-1 - from.source));
    if (!value.IsTypedArray()) Fail("data");
    const Napi::TypedArray array = value.As<Napi::TypedArray>();
    numbers.data = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
    numbers.count = array.ByteLength() / BytesOfGpuType(numbers.type);
    return numbers;
  }

 private:
  const Table<FactorRow> rows_;
  const std::vector<std::string> files_;
  const Napi::Array data_;
};

/** {change, factors, scratch, code}: `factors` are rows, `code` is a Float64Array. */
void ReadProgram(const Napi::Object& object, const FactorReader& factors, std::vector<WeightChange>& changes) {
  const double change = ReadNumber(object, "change", -1);
  if (!(change >= 0 && change < static_cast<double>(changes.size()))) Fail("programs");
  ChangeProgram& program = changes[static_cast<std::size_t>(change)].program;
  for (const std::int64_t row : ReadSizes(object, "factors")) program.factors.push_back(factors.Read(static_cast<double>(row)));
  for (const std::int64_t count : ReadSizes(object, "scratch")) program.scratch.push_back(static_cast<std::size_t>(count));
  const Table<double> code(object, "code");
  program.code.assign(code.begin(), code.end());
}
}  // namespace

std::vector<WeightChange> ReadChanges(const Napi::Object& packed) {
  std::vector<WeightChange> changes;
  for (std::string& name : ReadStrings(packed, "names")) {
    changes.emplace_back();
    changes.back().name = std::move(name);
  }
  const FactorReader factors(packed);
  for (const TermRow& row : Table<TermRow>(packed, "terms")) {
    if (!(row.change >= 0 && row.change < static_cast<double>(changes.size()))) Fail("terms");
    ChangeTerm term;
    term.rank = static_cast<int>(row.rank);
    term.scale = static_cast<float>(row.scale);
    term.up = factors.Read(row.up);
    if (term.rank > 0) term.down = factors.Read(row.down);
    changes[static_cast<std::size_t>(row.change)].terms.push_back(std::move(term));
  }
  const Napi::Array programs = ReadArray(packed, "programs");
  for (std::uint32_t i = 0; i < programs.Length(); ++i) {
    const Napi::HandleScope scope(packed.Env());
    const Napi::Value program = programs.Get(i);
    if (!program.IsObject()) Fail("programs");
    ReadProgram(program.As<Napi::Object>(), factors, changes);
  }
  return changes;
}

}  // namespace redux

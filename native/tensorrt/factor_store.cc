#include "factor_store.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "../cuda/native_error.h"

namespace redux {

namespace {
/** Factors begin at multiples of this many bytes, as the merge kernels like them. */
constexpr std::uint64_t kFactorAlignment = 16;
/** As many bytes between two factors are copied with them: fewer copies are faster. */
constexpr std::uint64_t kLargestGap = 4096;

/** A part of a file that is copied as one, and where in the new memory it goes. */
struct Run {
  const ByteSource* source = nullptr;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::size_t place = 0;

  std::uint64_t End() const {
    return offset + bytes;
  }
};
}  // namespace

const FactorStore::Entry* FactorStore::Draft::File::Find(std::uint64_t offset, std::size_t bytes) const {
  if (!known) return nullptr;
  const auto found = known->find(offset);
  return found != known->end() && found->second.bytes >= bytes ? &found->second : nullptr;
}

FactorStore::Draft::File& FactorStore::Open(Draft& draft, const std::string& path) const {
  Draft::File& file = draft.files_[path];
  if (file.source) return file;
  file.source = std::make_unique<ReadableFile>(path);
  const auto stored = files_.find(path);
  if (stored != files_.end() && stored->second.version == file.source->version()) file.known = &stored->second.entries;
  return file;
}

std::vector<FactorStore::Draft::Absent> FactorStore::FindAbsent(Draft& draft, const std::vector<const HostNumbers*>& factors) const {
  std::vector<Draft::Absent> absent;
  Draft::File* file = nullptr;
  const std::string* path = nullptr;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const HostNumbers& numbers = *factors[i];
    if (numbers.count == 0) continue;
    if (numbers.data) {
      absent.push_back({i, nullptr, 0, numbers.Bytes()});
      continue;
    }
    if (!path || *path != numbers.file) {
      file = &Open(draft, numbers.file);
      path = &numbers.file;
    }
    if (numbers.offset > file->source->bytes() || numbers.Bytes() > file->source->bytes() - numbers.offset) {
      throw NativeError("file.truncated", numbers.file + " has become shorter since it was opened. Load it again.");
    }
    if (const Entry* known = file->Find(numbers.offset, numbers.Bytes())) {
      draft.addresses_[i] = known->address;
      file->entries.emplace(numbers.offset, *known);
    } else {
      absent.push_back({i, file, numbers.offset, numbers.Bytes()});
    }
  }
  std::sort(absent.begin(), absent.end(), [](const Draft::Absent& a, const Draft::Absent& b) {
    return std::tie(a.file, a.offset, a.place) < std::tie(b.file, b.offset, b.place);
  });
  return absent;
}

FactorStore::Draft FactorStore::Make(const std::vector<const HostNumbers*>& factors) const {
  Draft draft;
  draft.addresses_.resize(factors.size());
  const std::vector<Draft::Absent> absent = FindAbsent(draft, factors);
  std::vector<Run> runs;
  /** Of each that is absent, how far into the new memory it begins. */
  std::vector<std::size_t> places;
  std::size_t bytes = 0;
  for (const Draft::Absent& each : absent) {
    const ByteSource* source = each.file ? each.file->source.get() : nullptr;
    Run* last = runs.empty() ? nullptr : &runs.back();
    const bool continues = last && source && last->source == source && each.offset <= last->End() + kLargestGap &&
                           (each.offset - last->offset) % kFactorAlignment == 0;
    if (!continues) {
      runs.push_back({source, each.offset, 0, bytes});
      last = &runs.back();
    }
    const std::size_t start = static_cast<std::size_t>(each.offset - last->offset);
    places.push_back(last->place + start);
    last->bytes = std::max(last->bytes, start + each.bytes);
    bytes = Aligned(last->place + last->bytes);
  }
  draft.buffer_ = std::make_shared<const DeviceBuffer>(cuda_, bytes);
  const CUdeviceptr memory = draft.buffer_->address();
  for (std::size_t i = 0; i < absent.size(); ++i) {
    const Draft::Absent& each = absent[i];
    const CUdeviceptr address = memory + places[i];
    draft.addresses_[each.place] = address;
    if (each.file) each.file->entries[each.offset] = {address, each.bytes, draft.buffer_};
    else draft.missing_.push_back({address, factors[each.place]->data, each.bytes, nullptr, 0});
  }
  for (const Run& run : runs) {
    if (run.source) draft.missing_.push_back({memory + run.place, nullptr, run.bytes, run.source, run.offset});
  }
  return draft;
}

void FactorStore::Keep(Draft&& draft) {
  std::unordered_map<std::string, StoredFile> files;
  for (auto& [path, file] : draft.files_) files.emplace(path, StoredFile{file.source->version(), std::move(file.entries)});
  files_ = std::move(files);
}

void FactorStore::Clear() {
  files_.clear();
}

std::size_t FactorStore::Bytes() const {
  std::set<const DeviceBuffer*> buffers;
  std::size_t bytes = 0;
  for (const auto& [path, file] : files_) {
    for (const auto& [offset, entry] : file.entries) {
      if (buffers.insert(entry.buffer.get()).second) bytes += entry.buffer->bytes();
    }
  }
  return bytes;
}

}  // namespace redux

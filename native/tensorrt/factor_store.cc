#include "factor_store.h"

#include <set>
#include <utility>

#include "../cuda/native_error.h"
#include "base_weights.h"

namespace redux {

FactorStore::Draft FactorStore::Make(const std::vector<const HostNumbers*>& factors) const {
  Draft draft;
  draft.addresses_.resize(factors.size());
  /** What is not on the GPU yet, by its place in `factors`, and how far into the new buffer it goes. */
  std::vector<std::pair<std::size_t, std::size_t>> absent;
  std::map<Draft::Place, std::size_t> reserved;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const HostNumbers& numbers = *factors[i];
    if (numbers.count == 0) continue;
    if (!numbers.data) {
      auto& file = draft.files_[numbers.file];
      if (!file) file = std::make_unique<ReadableFile>(numbers.file);
      if (numbers.offset > file->bytes() || numbers.Bytes() > file->bytes() - numbers.offset) {
        throw NativeError("file.truncated", numbers.file + " has become shorter since it was opened. Load it again.");
      }
      const Draft::Place place{numbers.file, numbers.offset, numbers.Bytes()};
      const auto known = entries_.find(place);
      if (known != entries_.end() && IsKnown(numbers.file, *file)) {
        draft.addresses_[i] = known->second.address;
        draft.entries_.emplace(place, known->second);
        continue;
      }
      const auto [same, is_new] = reserved.emplace(place, bytes);
      absent.emplace_back(i, same->second);
      if (!is_new) continue;
    } else {
      absent.emplace_back(i, bytes);
    }
    bytes += Aligned(numbers.Bytes());
  }
  draft.buffer_ = std::make_shared<const DeviceBuffer>(cuda_, bytes);
  std::set<std::size_t> begun;
  for (const auto& [i, start] : absent) {
    const HostNumbers& numbers = *factors[i];
    const CUdeviceptr address = draft.buffer_->address() + start;
    draft.addresses_[i] = address;
    if (!begun.insert(start).second) continue;
    const ByteSource* source = numbers.data ? nullptr : draft.files_.at(numbers.file).get();
    draft.missing_.push_back({address, numbers.data, numbers.Bytes(), source, numbers.offset});
    if (source) draft.entries_[{numbers.file, numbers.offset, numbers.Bytes()}] = {address, draft.buffer_};
  }
  return draft;
}

bool FactorStore::IsKnown(const std::string& path, const ReadableFile& file) const {
  const auto found = versions_.find(path);
  return found != versions_.end() && found->second == file.version();
}

void FactorStore::Keep(Draft&& draft) {
  versions_.clear();
  for (const auto& [path, file] : draft.files_) versions_.emplace(path, file->version());
  entries_ = std::move(draft.entries_);
}

void FactorStore::Clear() {
  entries_.clear();
  versions_.clear();
}

std::size_t FactorStore::Bytes() const {
  std::set<const DeviceBuffer*> buffers;
  std::size_t bytes = 0;
  for (const auto& [place, entry] : entries_) {
    if (buffers.insert(entry.buffer.get()).second) bytes += entry.buffer->bytes();
  }
  return bytes;
}

}  // namespace redux

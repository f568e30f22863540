#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace redux {

/** A file's bytes, mapped: nothing is read before it is used. */
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const {
    return static_cast<const char*>(data_);
  }
  std::size_t bytes() const {
    return bytes_;
  }
  /** Brings all of it in with several threads, for a reader that goes through it with one. Does nothing where the system cannot. */
  void Populate() const;

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/** The whole file; empty where there is none. */
std::vector<char> ReadFileIfThere(const std::string& path);

/** Writes under a name of its own in the same folder and then renames, so that readers see the old file or the new one, whole. */
void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes);

}  // namespace redux

#include "files.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "../cuda/native_error.h"
#include "../run_on_threads.h"

namespace redux {

namespace fs = std::filesystem;

namespace {
[[noreturn]] void Fail(const std::string& path, const std::string& reason) {
  throw NativeError("file.unreadable", path + " cannot be read: " + reason + ".");
}
}  // namespace

#ifdef _WIN32
MappedFile::MappedFile(const std::string& path) {
  const HANDLE file = CreateFileW(fs::u8path(path).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  if (file == INVALID_HANDLE_VALUE) Fail(path, "Windows error " + std::to_string(GetLastError()));
  LARGE_INTEGER size{};
  GetFileSizeEx(file, &size);
  bytes_ = static_cast<std::size_t>(size.QuadPart);
  const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  CloseHandle(file);
  if (!mapping) Fail(path, "Windows error " + std::to_string(GetLastError()));
  data_ = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
  CloseHandle(mapping);
  if (!data_) Fail(path, "Windows error " + std::to_string(GetLastError()));
}

MappedFile::~MappedFile() {
  if (data_) UnmapViewOfFile(data_);
}
#else
MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) Fail(path, std::strerror(errno));
  struct stat info{};
  fstat(file, &info);
  bytes_ = static_cast<std::size_t>(info.st_size);
  data_ = bytes_ > 0 ? mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  const int problem = errno;
  close(file);
  if (data_ == MAP_FAILED) Fail(path, bytes_ > 0 ? std::strerror(problem) : "it is empty");
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, bytes_);
}
#endif

void MappedFile::Populate() const {
#ifdef MADV_POPULATE_READ
  constexpr std::size_t kPart = std::size_t{64} << 20;
  constexpr std::size_t kMostThreads = 8;
  std::atomic<std::size_t> next{0};
  RunOnThreads(std::min(kMostThreads, bytes_ / kPart + 1), [&] {
    for (std::size_t start; (start = kPart * next++) < bytes_;) {
      madvise(static_cast<char*>(data_) + start, std::min(kPart, bytes_ - start), MADV_POPULATE_READ);
    }
  });
#endif
}

std::vector<char> ReadFileIfThere(const std::string& path) {
  std::ifstream file(fs::u8path(path), std::ios::binary | std::ios::ate);
  if (!file) return {};
  std::vector<char> bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file ? bytes : std::vector<char>();
}

void WriteFileAtomically(const std::string& path, const void* data, std::size_t bytes) {
  const fs::path target = fs::u8path(path);
  fs::path temporary = target;
  temporary += "." + std::to_string(std::random_device{}()) + ".tmp";
  std::error_code ignored;
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    file.close();
    if (!file) {
      fs::remove(temporary, ignored);
      throw NativeError("file.unwritable", path + " cannot be written: " + std::strerror(errno) + ".");
    }
  }
  std::error_code problem;
  fs::rename(temporary, target, problem);
  if (!problem) return;
  fs::remove(temporary, ignored);
  throw NativeError("file.unwritable", path + " cannot be written: " + problem.message() + ".");
}

}  // namespace redux

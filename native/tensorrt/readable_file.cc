#include "readable_file.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "../cuda/native_error.h"

namespace redux {

namespace {
/** The most that one call reads: systems limit it to less than 2 GiB. */
constexpr std::size_t kLargestRead = std::size_t{1} << 30;

[[noreturn]] void Fail(const std::string& path, const std::string& reason) {
  throw NativeError("file.unreadable", path + " cannot be read: " + reason + ".");
}
}  // namespace

#ifdef _WIN32
ReadableFile::ReadableFile(std::string path) : path_(std::move(path)) {
  handle_ = CreateFileW(std::filesystem::u8path(path_).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  BY_HANDLE_FILE_INFORMATION info{};
  if (handle_ == INVALID_HANDLE_VALUE || !GetFileInformationByHandle(handle_, &info)) Fail(path_, "Windows error " + std::to_string(GetLastError()));
  const auto join = [](DWORD high, DWORD low) { return (static_cast<std::uint64_t>(high) << 32) | low; };
  version_ = {info.dwVolumeSerialNumber, join(info.nFileIndexHigh, info.nFileIndexLow), join(info.nFileSizeHigh, info.nFileSizeLow),
              static_cast<std::int64_t>(join(info.ftLastWriteTime.dwHighDateTime, info.ftLastWriteTime.dwLowDateTime))};
}

ReadableFile::~ReadableFile() {
  if (handle_ != INVALID_HANDLE_VALUE) CloseHandle(handle_);
}
#else
ReadableFile::ReadableFile(std::string path) : path_(std::move(path)), descriptor_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat info{};
  if (descriptor_ < 0 || fstat(descriptor_, &info) != 0) {
    const int problem = errno;
    if (descriptor_ >= 0) close(descriptor_);
    Fail(path_, std::strerror(problem));
  }
#ifdef __APPLE__
  const timespec changed = info.st_mtimespec;
#else
  const timespec changed = info.st_mtim;
#endif
  version_ = {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino), static_cast<std::uint64_t>(info.st_size),
              static_cast<std::int64_t>(changed.tv_sec) * 1'000'000'000 + changed.tv_nsec};
}

ReadableFile::~ReadableFile() {
  close(descriptor_);
}
#endif

void ReadableFile::Read(std::uint64_t offset, void* to, std::size_t bytes) const {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t wanted = std::min(bytes - done, kLargestRead);
#ifdef _WIN32
    OVERLAPPED place{};
    place.Offset = static_cast<DWORD>(offset + done);
    place.OffsetHigh = static_cast<DWORD>((offset + done) >> 32);
    DWORD count = 0;
    if (!ReadFile(handle_, static_cast<char*>(to) + done, static_cast<DWORD>(wanted), &count, &place) && GetLastError() != ERROR_HANDLE_EOF) {
      Fail(path_, "Windows error " + std::to_string(GetLastError()));
    }
#else
    const ssize_t count = pread(descriptor_, static_cast<char*>(to) + done, wanted, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail(path_, std::strerror(errno));
#endif
    if (count == 0) throw NativeError("file.truncated", path_ + " has become shorter since it was opened. Load it again.");
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace redux

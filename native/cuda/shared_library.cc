#include "shared_library.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include <utility>

#include "native_error.h"

namespace redux {

namespace {
#ifdef _WIN32
std::wstring Wide(const std::string& text) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0);
  std::wstring wide(static_cast<std::size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), wide.data(), length);
  return wide;
}

void* Open(const std::string& path) {
  // A full path also makes the library's own folder the first place for what it needs itself.
  const bool full = path.find_first_of("/\\") != std::string::npos;
  const DWORD flags = full ? LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS : 0;
  return LoadLibraryExW(Wide(path).c_str(), nullptr, flags);
}

std::string LastProblem() {
  return "Windows error " + std::to_string(GetLastError());
}
#else
void* Open(const std::string& path) {
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

std::string LastProblem() {
  const char* problem = dlerror();
  return problem ? problem : "the loader gives no reason";
}
#endif
}  // namespace

SharedLibrary::SharedLibrary(const std::string& path) : handle_(Open(path)), path_(path) {
  if (!handle_) throw NativeError("backend.unavailable", path + " cannot be loaded: " + LastProblem());
}

SharedLibrary::SharedLibrary(SharedLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)) {}

SharedLibrary& SharedLibrary::operator=(SharedLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(path_, other.path_);
  return *this;
}

SharedLibrary::~SharedLibrary() {
  if (!handle_) return;
#ifdef _WIN32
  FreeLibrary(static_cast<HMODULE>(handle_));
#else
  dlclose(handle_);
#endif
}

void* SharedLibrary::Find(const char* name) const {
#ifdef _WIN32
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name));
#else
  return dlsym(handle_, name);
#endif
}

void* SharedLibrary::Function(const char* name) const {
  void* function = Find(name);
  if (!function) throw NativeError("backend.unavailable", path_ + " has no function " + name + ": it is another library or version.");
  return function;
}

std::string SharedLibrary::FileOf(void* function) {
#ifdef _WIN32
  HMODULE module = nullptr;
  const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (!GetModuleHandleExA(flags, static_cast<LPCSTR>(function), &module)) return "";
  char path[MAX_PATH];
  return std::string(path, GetModuleFileNameA(module, path, MAX_PATH));
#else
  Dl_info info;
  return dladdr(function, &info) && info.dli_fname ? info.dli_fname : "";
#endif
}

}  // namespace redux

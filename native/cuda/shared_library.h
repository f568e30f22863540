#pragma once

#include <string>

namespace redux {

/** A shared library opened at run time; closed when the object goes. */
class SharedLibrary {
 public:
  SharedLibrary() = default;
  /** `path` may be a bare name, which the loader looks for in its own places. Throws NativeError with the loader's reason. */
  explicit SharedLibrary(const std::string& path);
  SharedLibrary(SharedLibrary&& other) noexcept;
  SharedLibrary& operator=(SharedLibrary&& other) noexcept;
  ~SharedLibrary();

  /** The function's address; throws NativeError where the library has none of that name. */
  void* Function(const char* name) const;
  template <typename Signature>
  Signature* Get(const char* name) const {
    return reinterpret_cast<Signature*>(Function(name));
  }
  /** The function's address, or null. */
  void* Find(const char* name) const;

  /** The file that the loader took for a function of the library; empty where it does not say. */
  static std::string FileOf(void* function);

 private:
  void* handle_ = nullptr;
  std::string path_;
};

}  // namespace redux

#pragma once

/* A kernel with a copy of its arguments, which stand as cuLaunchKernel takes them. */
#include <cstddef>
#include <tuple>
#include <utility>

namespace {

template <typename... Arguments, std::size_t... kPlaces>
auto Bind(void (*kernel)(Arguments...), void** arguments, std::index_sequence<kPlaces...>) {
  return [kernel, values = std::make_tuple(*static_cast<Arguments*>(arguments[kPlaces])...)] { std::apply(kernel, values); };
}

/** The kernel with a copy of the arguments. */
template <typename... Arguments>
auto Bind(void (*kernel)(Arguments...), void** arguments) {
  return Bind(kernel, arguments, std::index_sequence_for<Arguments...>());
}

}  // namespace

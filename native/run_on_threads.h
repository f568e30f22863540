#pragma once

#include <cstddef>
#include <functional>

namespace redux {

/**
 * Calls `work` once on each of `threads` threads, the caller's among them, and returns when all have returned. Where a thread
 * cannot be started there are fewer calls, never none; so the calls must share their work out among themselves, whoever comes.
 * The first exception of `work` is thrown here, after the others are done.
 */
void RunOnThreads(std::size_t threads, const std::function<void()>& work);

}  // namespace redux

#pragma once

#include <cstddef>

/*
 * libcuda.so.1 as a stand-in on the host, linked to the tests: memory of the GPU is the host's, and what is queued on a stream is done no
 * sooner than somebody waits for it, so that memory that is freed or changed too early shows. It has the kernels of sampling and of merges.
 */
extern "C" {

/** The GPU's compute capability, times ten; 90 unless this is called before the driver is loaded. PTX for later ones is refused. */
void redux_emulated_set_capability(int capability);
/** How many pieces of memory, events, streams and modules are there now. */
std::size_t redux_emulated_objects();
/** The call after so many others that reserves memory fails for want of it; negative: none does. */
void redux_emulated_fail_allocation(int calls);
/** The launch of a kernel after so many others fails; negative: none does. */
void redux_emulated_fail_launch(int calls);
}

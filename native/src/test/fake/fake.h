// What the fakes of cuBLAS and cuSOLVER use of the fake driver: libcuda.so.1 of this folder, which has device memory and streams.
//
// Fake device addresses are host addresses with bit 62 set. No CPU can dereference them, so what touches device memory from the
// host dies at once; and a host address where one of the device belongs is seen.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <functional>

namespace fake {

// The status that FAKE_CUDA_FAIL and its like ask for in this call of this function; 0 for none. Counts the call.
int injected(const char* function);

// Whether the calling thread has a context current that still works.
bool context_works();

// Puts work behind what is on the stream; it runs when somebody waits for the stream. False for a stream that does not exist.
bool enqueue(void* stream, std::function<void()> work);

// Where the `bytes` bytes at a device address lie, or null after the context was broken with a sentence on standard error: an
// address of the host, or not all inside of one allocation.
void* device(const void* address, size_t bytes, const char* who);

// Breaks the context as the GPU would: from now on every call on it returns this status.
void break_context(int status, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Fresh device memory is 0xff everywhere, which no arithmetic gives: false, and the context broken, if any of these elements is.
bool written(const void* host, size_t elements, size_t element_bytes, const char* who);

enum { ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };

}  // namespace fake

// The fake driver: that it is as strict as fake_cuda.cc says, for what it lets pass is not seen without a GPU.
#include <math.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "driver.h"
#include "kernels.h"

namespace {

void *context, *module, *stream;

void* device(size_t bytes) {
  void* p;
  CHECK_EQUAL(cuMemAlloc_v2(&p, bytes), 0);
  return p;
}
float* pinned(size_t count) {
  void* p;
  CHECK_EQUAL(cuMemHostAlloc(&p, count * sizeof(float), 0), 0);
  return (float*)p;
}
void* function(const char* name) {
  void* f;
  CHECK_EQUAL(cuModuleGetFunction(&f, module, name), 0);
  return f;
}
void set(const char* assignment) {
  void* ignored;
  CHECK_EQUAL(cuModuleLoadData(&ignored, (std::string("QUERN FAKE ") + assignment).c_str()), 0);
}
int add(void* on, const void* a, const void* b, const void* y, long long count, unsigned threads = 256, unsigned shared = 0) {
  void* parameters[] = {&a, &b, &y, &count};
  return cuLaunchKernel(function("add_f32"), 1, 1, 1, threads, 1, 1, shared, on, parameters, nullptr);
}

void kernels_run() {
  std::vector<float> x(300, 2.0f), y(300);
  void *a = device(1200), *b = device(1200);
  CHECK_EQUAL(cuMemcpyHtoD_v2(a, x.data(), 1200), 0);
  CHECK_EQUAL(add(stream, a, a, b, 300), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK_EQUAL(cuMemcpyDtoH_v2(y.data(), b, 1200), 0);
  for (float f : y) CHECK(f == 4.0f);
}

void every_kernel_is_there() { // in the image, where one was compiled, and in the emulator
#define FIND(name) function(#name);
  QUERN_KERNELS(FIND)
}

void fresh_memory_is_not_zero() {
  float f = 0;
  CHECK_EQUAL(cuMemcpyDtoH_v2(&f, device(4), 4), 0);
  CHECK(isnan(f));
}

void work_waits_for_whoever_waits() {
  float *from = pinned(2), *to = pinned(2);
  void* d = device(8);
  from[0] = from[1] = 1;
  CHECK_EQUAL(cuMemcpyHtoDAsync_v2(d, from, 8, stream), 0);
  from[0] = 2; // too early: the copy takes this
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(to, d, 8, stream), 0);
  CHECK(isnan(to[0])); // nothing has been waited for
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK(to[0] == 2 && to[1] == 1);

  std::vector<float> pageable = {3, 4}; // the driver does not come back before it has read this
  CHECK_EQUAL(cuMemcpyHtoDAsync_v2(d, pageable.data(), 8, stream), 0);
  pageable[0] = 5;
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(to, d, 8, stream), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK(to[0] == 3);

  // A copy without a stream does not wait for a stream that was made to run beside it.
  CHECK_EQUAL(cuMemsetD8Async(d, 0, 8, stream), 0);
  CHECK_EQUAL(cuMemcpyDtoH_v2(pageable.data(), d, 8), 0);
  CHECK(pageable[0] == 3);
  CHECK_EQUAL(cuCtxSynchronize(), 0);
  CHECK_EQUAL(cuMemcpyDtoH_v2(pageable.data(), d, 8), 0);
  CHECK(pageable[0] == 0);
}

void events_order_streams() {
  void *other, *event, *d = device(4);
  float *to = pinned(1), *one = pinned(1);
  one[0] = 1;
  CHECK_EQUAL(cuStreamCreate(&other, 1), 0);
  CHECK_EQUAL(cuEventCreate(&event, 2), 0);
  CHECK_EQUAL(cuMemcpyHtoDAsync_v2(d, one, 4, other), 0);
  CHECK_EQUAL(cuEventRecord(event, other), 0);
  CHECK_EQUAL(cuMemsetD8Async(d, 0, 4, other), 0); // behind the event: not waited for
  CHECK_EQUAL(cuStreamWaitEvent(stream, event, 0), 0);
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(to, d, 4, stream), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 0);
  CHECK(to[0] == 1);
  CHECK_EQUAL(cuEventSynchronize(event), 0);
  CHECK_EQUAL(cuEventDestroy_v2(event), 0);
  CHECK_EQUAL(cuEventDestroy_v2(event), 400);
  CHECK_EQUAL(cuStreamDestroy_v2(other), 0);
  CHECK_EQUAL(cuStreamSynchronize(other), 400);
}

void copies_stay_inside() {
  char* d = (char*)device(8);
  float *h = pinned(4);
  CHECK_EQUAL(cuMemcpyHtoD_v2(d, h, 9), 1);
  CHECK_EQUAL(cuMemcpyHtoDAsync_v2(d + 4, h, 8, stream), 1);
  CHECK_EQUAL(cuMemcpyDtoHAsync_v2(h, d - 1, 1, stream), 1);
  CHECK_EQUAL(cuMemsetD8Async(d, 0, 9, stream), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(h, h, 4), 1); // no device address
  CHECK_EQUAL(cuMemcpyHtoD_v2(d, d, 4), 1); // no host address
  CHECK_EQUAL(cuMemcpyHtoD_v2(d + 4, h, 4), 0);
  CHECK_EQUAL(cuMemFree_v2(d + 4), 1);
  CHECK_EQUAL(cuMemFree_v2(d), 0);
  CHECK_EQUAL(cuMemFree_v2(d), 1);
  CHECK_EQUAL(cuMemcpyHtoD_v2(d, h, 4), 1);
}

void memory_ends() {
  set("FAKE_CUDA_MEMORY=1000");
  size_t available, total;
  void *half = device(500), *p;
  CHECK_EQUAL(cuMemGetInfo_v2(&available, &total), 0);
  CHECK(available == 500 && total == 1000);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 501), 2);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 1ull << 62), 2);
  CHECK_EQUAL(cuMemFree_v2(half), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 501), 0);
}

void launches_have_limits() {
  void *a = device(4), *f = function("add_f32"), *g;
  CHECK_EQUAL(add(stream, a, a, a, 0, 1025), 1);
  CHECK_EQUAL(add(stream, a, a, a, 0, 0), 1);
  CHECK_EQUAL(add(stream, a, a, a, 0, 256, 48 * 1024 + 1), 1);
  CHECK_EQUAL(add((void*)a, a, a, a, 0), 400); // no stream
  CHECK_EQUAL(cuFuncSetAttribute(f, 8, 227 * 1024 + 1), 1);
  CHECK_EQUAL(cuFuncSetAttribute(f, 8, 64 * 1024), 0);
  long long count = 0;
  void* parameters[] = {&a, &a, &a, &count};
  CHECK_EQUAL(cuLaunchKernel(f, 1, 1, 1, 256, 1, 1, 64 * 1024, stream, parameters, nullptr), 0);
  CHECK_EQUAL(cuModuleGetFunction(&g, module, "add_f3"), 500);
  CHECK_EQUAL(cuModuleGetFunction(&g, module, "dd_f32"), 500);
  CHECK_EQUAL(cuModuleLoadData(&g, "neither a fat binary nor the stand-in"), 200);
  CHECK_EQUAL(cuCtxSynchronize(), 0);
}

void a_kernel_wants_device_memory() {
  float host[4] = {};
  void* a = device(16);
  CHECK_EQUAL(add(stream, a, host, a, 4), 0);
  CHECK_EQUAL(cuStreamSynchronize(stream), 700);
  CHECK_EQUAL(cuMemFree_v2(a), 700); // and so on
  CHECK_EQUAL(cuDevicePrimaryCtxRelease_v2(0), 0);
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
  CHECK_EQUAL(cuCtxSetCurrent(context), 0);
  CHECK_EQUAL(cuCtxSynchronize(), 0); // a new context works
}

void freed_memory_is_gone() {
  void *a = device(16), *b = device(16);
  CHECK_EQUAL(cuMemFree_v2(a), 0);
  CHECK_EQUAL(add(stream, a, b, b, 4), 0);
  CHECK_EQUAL(cuCtxSynchronize(), 700);
}

void failures_are_injected() {
  void* p;
  set("FAKE_CUDA_FAIL=cuMemAlloc_v2:2:2");
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 2);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 0);
  set("FAKE_CUDA_FAIL=");
  set("FAKE_CUDA_FAIL=cuStreamSynchronize:719:1");
  CHECK_EQUAL(cuStreamSynchronize(stream), 719);
  CHECK_EQUAL(cuStreamSynchronize(stream), 719); // this one is never mended
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 719);
}

void a_thread_needs_a_context() {
  int status = 0;
  void* p;
  std::thread([&] { status = cuMemAlloc_v2(&p, 8); }).join();
  CHECK_EQUAL(status, 201);
  std::thread([&] { cuCtxSetCurrent(context), status = cuMemAlloc_v2(&p, 8); }).join();
  CHECK_EQUAL(status, 0);
}

} // namespace

// driver_test CASE IMAGE
int main(int count, char** arguments) {
  std::map<std::string, void (*)()> cases = {{"kernels_run", kernels_run}, {"every_kernel_is_there", every_kernel_is_there}, {"fresh_memory_is_not_zero", fresh_memory_is_not_zero},
      {"work_waits_for_whoever_waits", work_waits_for_whoever_waits}, {"events_order_streams", events_order_streams},
      {"copies_stay_inside", copies_stay_inside}, {"memory_ends", memory_ends}, {"launches_have_limits", launches_have_limits},
      {"a_kernel_wants_device_memory", a_kernel_wants_device_memory}, {"freed_memory_is_gone", freed_memory_is_gone},
      {"failures_are_injected", failures_are_injected}, {"a_thread_needs_a_context", a_thread_needs_a_context}};
  CHECK(count == 3 && cases.count(arguments[1]));
  void* p;
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 3); // before cuInit
  CHECK_EQUAL(cuInit(0), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&p, 8), 201); // before there is a context
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
  CHECK_EQUAL(cuCtxSetCurrent(context), 0);
  CHECK_EQUAL(cuStreamCreate(&stream, 1), 0);
  std::vector<char> image;
  FILE* file = fopen(arguments[2], "rb");
  CHECK(file);
  for (int c; (c = fgetc(file)) != EOF;) image.push_back((char)c);
  fclose(file);
  image.push_back(0);
  CHECK_EQUAL(cuModuleLoadData(&module, image.data()), 0);
  cases[arguments[1]]();
}

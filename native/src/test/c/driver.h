// The driver functions that the tests use, as libcuda.so.1 has them.
#pragma once
#include <stddef.h>

extern "C" {
int cuInit(unsigned flags);
int cuDevicePrimaryCtxRetain(void** context, int device);
int cuDevicePrimaryCtxRelease_v2(int device);
int cuCtxSetCurrent(void* context);
int cuCtxSynchronize();
int cuStreamCreate(void** stream, unsigned flags);
int cuStreamDestroy_v2(void* stream);
int cuStreamSynchronize(void* stream);
int cuStreamWaitEvent(void* stream, void* event, unsigned flags);
int cuEventCreate(void** event, unsigned flags);
int cuEventRecord(void* event, void* stream);
int cuEventSynchronize(void* event);
int cuEventDestroy_v2(void* event);
int cuMemGetInfo_v2(size_t* available, size_t* total);
int cuMemAlloc_v2(void** address, size_t bytes);
int cuMemFree_v2(void* address);
int cuMemHostAlloc(void** address, size_t bytes, unsigned flags);
int cuMemFreeHost(void* address);
int cuMemcpyHtoD_v2(void* to, const void* from, size_t bytes);
int cuMemcpyDtoH_v2(void* to, const void* from, size_t bytes);
int cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, void* stream);
int cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, void* stream);
int cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t bytes, void* stream);
int cuMemsetD8Async(void* to, unsigned char value, size_t count, void* stream);
int cuModuleLoadData(void** module, const void* image);
int cuModuleGetFunction(void** function, void* module, const char* name);
int cuFuncSetAttribute(void* function, int attribute, int value);
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void* stream, void** parameters, void** extra);
}

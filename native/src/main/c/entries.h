/* The functions of cuBLAS and cuSOLVER that the layer uses, as it declares them itself: X(result, name, parameters). Enums are
   ints and handles pointers; src/test/signatures compares this with NVIDIA's headers. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define CUBLAS_ENTRIES(X)                                                                                                        \
  X(int, cublasGetProperty, (int type, int* value))                                                                              \
  X(const char*, cublasGetStatusString, (int status))                                                                            \
  X(int, cublasCreate_v2, (void** handle))                                                                                       \
  X(int, cublasDestroy_v2, (void* handle))                                                                                       \
  X(int, cublasSetStream_v2, (void* handle, void* stream))                                                                       \
  X(int, cublasSetWorkspace_v2, (void* handle, void* workspace, size_t bytes))                                                   \
  X(int, cublasSetMathMode, (void* handle, int mode))                                                                            \
  X(int, cublasGemmStridedBatchedEx,                                                                                             \
    (void* handle, int transa, int transb, int m, int n, int k, const void* alpha, const void* a, int atype, int lda,            \
     long long int stridea, const void* b, int btype, int ldb, long long int strideb, const void* beta, void* c, int ctype,      \
     int ldc, long long int stridec, int count, int compute, int algorithm))                                                     \
  X(int, cublasGemmEx,                                                                                                           \
    (void* handle, int transa, int transb, int m, int n, int k, const void* alpha, const void* a, int atype, int lda,            \
     const void* b, int btype, int ldb, const void* beta, void* c, int ctype, int ldc, int compute, int algorithm))

#define CUSOLVER_ENTRIES(X)                                                                                                      \
  X(int, cusolverGetProperty, (int type, int* value))                                                                            \
  X(int, cusolverDnCreate, (void** handle))                                                                                      \
  X(int, cusolverDnDestroy, (void* handle))                                                                                      \
  X(int, cusolverDnSetStream, (void* handle, void* stream))                                                                      \
  X(int, cusolverDnSetDeterministicMode, (void* handle, int mode))                                                               \
  X(int, cusolverDnCreateParams, (void** params))                                                                                \
  X(int, cusolverDnDestroyParams, (void* params))                                                                                \
  X(int, cusolverDnXpotrf_bufferSize,                                                                                            \
    (void* handle, void* params, int uplo, int64_t n, int atype, const void* a, int64_t lda, int compute, size_t* device_bytes,  \
     size_t* host_bytes))                                                                                                        \
  X(int, cusolverDnXpotrf,                                                                                                       \
    (void* handle, void* params, int uplo, int64_t n, int atype, void* a, int64_t lda, int compute, void* device,                \
     size_t device_bytes, void* host, size_t host_bytes, int* info))                                                             \
  X(int, cusolverDnXtrtri_bufferSize,                                                                                            \
    (void* handle, int uplo, int diagonal, int64_t n, int atype, void* a, int64_t lda, size_t* device_bytes,                     \
     size_t* host_bytes))                                                                                                        \
  X(int, cusolverDnXtrtri,                                                                                                       \
    (void* handle, int uplo, int diagonal, int64_t n, int atype, void* a, int64_t lda, void* device, size_t device_bytes,        \
     void* host, size_t host_bytes, int* info))

enum {
  MAJOR_VERSION_ = 0, MINOR_VERSION_ = 1, PATCH_LEVEL_ = 2, /* libraryPropertyType */
  OP_N = 0, OP_T = 1,                                       /* cublasOperation_t */
  FILL_UPPER = 1,                                           /* cublasFillMode_t */
  DIAGONAL_NON_UNIT = 0,                                    /* cublasDiagType_t */
  GEMM_DEFAULT = -1,                                        /* cublasGemmAlgo_t */
  DISALLOW_REDUCED_PRECISION_REDUCTION = 16,                /* cublasMath_t */
  DETERMINISTIC_RESULTS = 1                                 /* cusolverDeterministicMode_t */
};

/* The functions of cuBLAS and cuSOLVER that the layer uses, as NVIDIA declares them: X(result, name, parameters). Their types are
   ints and pointers here; src/test/signatures puts NVIDIA's own in their places. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifndef TYPES_OF_NVIDIA
typedef int cublasStatus_t, cublasOperation_t, cublasFillMode_t, cublasDiagType_t, cublasMath_t, cublasComputeType_t, cublasGemmAlgo_t;
typedef int cusolverStatus_t, cusolverDeterministicMode_t, libraryPropertyType, cudaDataType;
typedef void *cublasHandle_t, *cusolverDnHandle_t, *cusolverDnParams_t, *cudaStream_t;

enum {
  MAJOR_VERSION = 0, MINOR_VERSION = 1, PATCH_LEVEL = 2,
  CUDA_R_32F = 0, CUDA_R_16BF = 14,
  CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_OP_N = 0, CUBLAS_OP_T = 1,
  CUBLAS_FILL_MODE_UPPER = 1,
  CUBLAS_DIAG_NON_UNIT = 0,
  CUBLAS_GEMM_DEFAULT = -1,
  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16,
  CUSOLVER_DETERMINISTIC_RESULTS = 1
};
#endif

#define CUBLAS_ENTRIES(X)                                                                                                        \
  X(cublasStatus_t, cublasGetProperty, (libraryPropertyType type, int* value))                                                   \
  X(const char*, cublasGetStatusString, (cublasStatus_t status))                                                                 \
  X(cublasStatus_t, cublasCreate_v2, (cublasHandle_t * handle))                                                                  \
  X(cublasStatus_t, cublasDestroy_v2, (cublasHandle_t handle))                                                                   \
  X(cublasStatus_t, cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t stream))                                            \
  X(cublasStatus_t, cublasSetWorkspace_v2, (cublasHandle_t handle, void* workspace, size_t bytes))                               \
  X(cublasStatus_t, cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode))                                               \
  X(cublasStatus_t, cublasGemmEx,                                                                                                \
    (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha,          \
     const void* a, cudaDataType atype, int lda, const void* b, cudaDataType btype, int ldb, const void* beta, void* c,          \
     cudaDataType ctype, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm))                                      \
  X(cublasStatus_t, cublasGemmStridedBatchedEx,                                                                                  \
    (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha,          \
     const void* a, cudaDataType atype, int lda, long long int stridea, const void* b, cudaDataType btype, int ldb,              \
     long long int strideb, const void* beta, void* c, cudaDataType ctype, int ldc, long long int stridec, int count,            \
     cublasComputeType_t compute, cublasGemmAlgo_t algorithm))

#define CUSOLVER_ENTRIES(X)                                                                                                      \
  X(cusolverStatus_t, cusolverGetProperty, (libraryPropertyType type, int* value))                                               \
  X(cusolverStatus_t, cusolverDnCreate, (cusolverDnHandle_t * handle))                                                           \
  X(cusolverStatus_t, cusolverDnDestroy, (cusolverDnHandle_t handle))                                                            \
  X(cusolverStatus_t, cusolverDnSetStream, (cusolverDnHandle_t handle, cudaStream_t stream))                                     \
  X(cusolverStatus_t, cusolverDnSetDeterministicMode, (cusolverDnHandle_t handle, cusolverDeterministicMode_t mode))             \
  X(cusolverStatus_t, cusolverDnCreateParams, (cusolverDnParams_t * params))                                                     \
  X(cusolverStatus_t, cusolverDnDestroyParams, (cusolverDnParams_t params))                                                      \
  X(cusolverStatus_t, cusolverDnXpotrf_bufferSize,                                                                               \
    (cusolverDnHandle_t handle, cusolverDnParams_t params, cublasFillMode_t uplo, int64_t n, cudaDataType atype, const void* a,  \
     int64_t lda, cudaDataType compute, size_t* device_bytes, size_t* host_bytes))                                               \
  X(cusolverStatus_t, cusolverDnXpotrf,                                                                                          \
    (cusolverDnHandle_t handle, cusolverDnParams_t params, cublasFillMode_t uplo, int64_t n, cudaDataType atype, void* a,        \
     int64_t lda, cudaDataType compute, void* device, size_t device_bytes, void* host, size_t host_bytes, int* info))            \
  X(cusolverStatus_t, cusolverDnXtrtri_bufferSize,                                                                               \
    (cusolverDnHandle_t handle, cublasFillMode_t uplo, cublasDiagType_t diagonal, int64_t n, cudaDataType atype, void* a,        \
     int64_t lda, size_t* device_bytes, size_t* host_bytes))                                                                     \
  X(cusolverStatus_t, cusolverDnXtrtri,                                                                                          \
    (cusolverDnHandle_t handle, cublasFillMode_t uplo, cublasDiagType_t diagonal, int64_t n, cudaDataType atype, void* a,        \
     int64_t lda, void* device, size_t device_bytes, void* host, size_t host_bytes, int* info))

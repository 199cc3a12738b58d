/* Compiles only where NVIDIA's headers agree with what the layer declares itself: each parameter list, with enums as ints and
   handles as pointers, and each number. signatures.sh says which headers. */
#include <cublas_v2.h>
#include <cusolverDn.h>

#include "entries.h"
#include "layer.h"

#define SAME_SIZE(type) _Static_assert(sizeof(type) == sizeof(int), #type)
SAME_SIZE(cublasStatus_t);
SAME_SIZE(cusolverStatus_t);
SAME_SIZE(cublasOperation_t);
SAME_SIZE(cublasFillMode_t);
SAME_SIZE(cublasDiagType_t);
SAME_SIZE(cublasMath_t);
SAME_SIZE(cublasComputeType_t);
SAME_SIZE(cublasGemmAlgo_t);
SAME_SIZE(cudaDataType);
SAME_SIZE(libraryPropertyType);
SAME_SIZE(cusolverDeterministicMode_t);

#define SAME_VALUE(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME_VALUE(F32, CUDA_R_32F);
SAME_VALUE(BF16, CUDA_R_16BF);
SAME_VALUE(SUMS_F32, CUBLAS_COMPUTE_32F);
SAME_VALUE(SUMS_F32_PEDANTIC, CUBLAS_COMPUTE_32F_PEDANTIC);
SAME_VALUE(MAJOR_VERSION_, MAJOR_VERSION);
SAME_VALUE(MINOR_VERSION_, MINOR_VERSION);
SAME_VALUE(PATCH_LEVEL_, PATCH_LEVEL);
SAME_VALUE(OP_N, CUBLAS_OP_N);
SAME_VALUE(OP_T, CUBLAS_OP_T);
SAME_VALUE(FILL_UPPER, CUBLAS_FILL_MODE_UPPER);
SAME_VALUE(DIAGONAL_NON_UNIT, CUBLAS_DIAG_NON_UNIT);
SAME_VALUE(GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT);
SAME_VALUE(DISALLOW_REDUCED_PRECISION_REDUCTION, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
SAME_VALUE(DETERMINISTIC_RESULTS, CUSOLVER_DETERMINISTIC_RESULTS);

/* The texts of cusolver_status, in order. */
SAME_VALUE(1, CUSOLVER_STATUS_NOT_INITIALIZED);
SAME_VALUE(2, CUSOLVER_STATUS_ALLOC_FAILED);
SAME_VALUE(3, CUSOLVER_STATUS_INVALID_VALUE);
SAME_VALUE(4, CUSOLVER_STATUS_ARCH_MISMATCH);
SAME_VALUE(5, CUSOLVER_STATUS_MAPPING_ERROR);
SAME_VALUE(6, CUSOLVER_STATUS_EXECUTION_FAILED);
SAME_VALUE(7, CUSOLVER_STATUS_INTERNAL_ERROR);
SAME_VALUE(8, CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED);
SAME_VALUE(9, CUSOLVER_STATUS_NOT_SUPPORTED);

/* Each function of entries.h, called with NVIDIA's own types in the places of ours. */
#define SAME(name, type) _Static_assert(__builtin_types_compatible_p(__typeof__(&name), type), #name)
typedef cublasStatus_t B;
typedef cusolverStatus_t S;
SAME(cublasGetProperty, B (*)(libraryPropertyType, int*));
SAME(cublasGetStatusString, const char* (*)(B));
SAME(cublasCreate_v2, B (*)(cublasHandle_t*));
SAME(cublasDestroy_v2, B (*)(cublasHandle_t));
SAME(cublasSetStream_v2, B (*)(cublasHandle_t, cudaStream_t));
SAME(cublasSetWorkspace_v2, B (*)(cublasHandle_t, void*, size_t));
SAME(cublasSetMathMode, B (*)(cublasHandle_t, cublasMath_t));
SAME(cublasGemmEx, B (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*, const void*, cudaDataType,
     int, const void*, cudaDataType, int, const void*, void*, cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t));
SAME(cublasGemmStridedBatchedEx, B (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*, const void*,
     cudaDataType, int, long long int, const void*, cudaDataType, int, long long int, const void*, void*, cudaDataType, int,
     long long int, int, cublasComputeType_t, cublasGemmAlgo_t));
SAME(cusolverGetProperty, S (*)(libraryPropertyType, int*));
SAME(cusolverDnCreate, S (*)(cusolverDnHandle_t*));
SAME(cusolverDnDestroy, S (*)(cusolverDnHandle_t));
SAME(cusolverDnSetStream, S (*)(cusolverDnHandle_t, cudaStream_t));
SAME(cusolverDnSetDeterministicMode, S (*)(cusolverDnHandle_t, cusolverDeterministicMode_t));
SAME(cusolverDnCreateParams, S (*)(cusolverDnParams_t*));
SAME(cusolverDnDestroyParams, S (*)(cusolverDnParams_t));
SAME(cusolverDnXpotrf_bufferSize, S (*)(cusolverDnHandle_t, cusolverDnParams_t, cublasFillMode_t, int64_t, cudaDataType, const void*,
     int64_t, cudaDataType, size_t*, size_t*));
SAME(cusolverDnXpotrf, S (*)(cusolverDnHandle_t, cusolverDnParams_t, cublasFillMode_t, int64_t, cudaDataType, void*, int64_t,
     cudaDataType, void*, size_t, void*, size_t, int*));
SAME(cusolverDnXtrtri_bufferSize, S (*)(cusolverDnHandle_t, cublasFillMode_t, cublasDiagType_t, int64_t, cudaDataType, void*, int64_t,
     size_t*, size_t*));
SAME(cusolverDnXtrtri, S (*)(cusolverDnHandle_t, cublasFillMode_t, cublasDiagType_t, int64_t, cudaDataType, void*, int64_t, void*,
     size_t, void*, size_t, int*));

/* Compiles only where NVIDIA's headers agree with entries.h and layer.h: each parameter list, each number, and that what are ints
   and pointers there are enums of that size and pointers here. signatures.sh finds the headers. */
#include <cublas_v2.h>
#include <cusolverDn.h>

#define TYPES_OF_NVIDIA
#include "entries.h"
#include "layer.h"

#define SAME(result, name, parameters) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(&name), result(*) parameters), #name);
CUBLAS_ENTRIES(SAME)
CUSOLVER_ENTRIES(SAME)

#define SIZE(type, as) _Static_assert(sizeof(type) == sizeof(as), #type);
SIZE(cublasStatus_t, int)
SIZE(cusolverStatus_t, int)
SIZE(cublasOperation_t, int)
SIZE(cublasFillMode_t, int)
SIZE(cublasDiagType_t, int)
SIZE(cublasMath_t, int)
SIZE(cublasComputeType_t, int)
SIZE(cublasGemmAlgo_t, int)
SIZE(cudaDataType, int)
SIZE(libraryPropertyType, int)
SIZE(cusolverDeterministicMode_t, int)
SIZE(cublasHandle_t, void*)
SIZE(cusolverDnHandle_t, void*)
SIZE(cusolverDnParams_t, void*)
SIZE(cudaStream_t, void*)

#define VALUE(theirs, ours) _Static_assert((int)(theirs) == (ours), #theirs);
VALUE(MAJOR_VERSION, 0)
VALUE(MINOR_VERSION, 1)
VALUE(PATCH_LEVEL, 2)
VALUE(CUDA_R_32F, 0)
VALUE(CUDA_R_16BF, 14)
VALUE(CUBLAS_COMPUTE_32F, 68)
VALUE(CUBLAS_COMPUTE_32F_PEDANTIC, 69)
VALUE(CUBLAS_OP_N, 0)
VALUE(CUBLAS_OP_T, 1)
VALUE(CUBLAS_FILL_MODE_UPPER, 1)
VALUE(CUBLAS_DIAG_NON_UNIT, 0)
VALUE(CUBLAS_GEMM_DEFAULT, -1)
VALUE(CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION, 16)
VALUE(CUSOLVER_DETERMINISTIC_RESULTS, 1)

/* The order of the texts in layer.c. */
VALUE(CUSOLVER_STATUS_NOT_INITIALIZED, 1)
VALUE(CUSOLVER_STATUS_ALLOC_FAILED, 2)
VALUE(CUSOLVER_STATUS_INVALID_VALUE, 3)
VALUE(CUSOLVER_STATUS_ARCH_MISMATCH, 4)
VALUE(CUSOLVER_STATUS_MAPPING_ERROR, 5)
VALUE(CUSOLVER_STATUS_EXECUTION_FAILED, 6)
VALUE(CUSOLVER_STATUS_INTERNAL_ERROR, 7)
VALUE(CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED, 8)
VALUE(CUSOLVER_STATUS_NOT_SUPPORTED, 9)

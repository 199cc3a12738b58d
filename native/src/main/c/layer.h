/* The thin layer over cuBLAS and cuSOLVER: opens the pair of libraries that the host has (CUDA 13 or 12) at run time, so that
   nothing of CUDA is needed to build or to load it. Conventions are those of quern.device.cuda.Libraries: row-major matrices,
   device addresses, asynchronous on the stream of the handle.

   Every call returns 0, or something else after it has left a sentence in layer_error(). */
#pragma once
#include <stddef.h>

typedef struct layer layer;

/* C = alpha op(A) op(B) + beta C, count times, strides apart. */
typedef struct {
  int transpose_a, transpose_b;
  long long m, n, k;
  float alpha, beta;
  const void *a, *b;
  void* c;
  long long lda, ldb, ldc, stride_a, stride_b, stride_c, count;
  int operands, result; /* cudaDataType: CUDA_R_16BF, CUDA_R_32F */
  int sums;             /* cublasComputeType_t */
} layer_product;

/* Scratch memory of a factorization. */
typedef struct {
  void* device;
  size_t device_bytes;
  void* host;
  size_t host_bytes;
} layer_buffers;

const char* layer_error(void); /* of the calling thread */

int layer_open(int major, void* stream, void* workspace, size_t workspace_bytes, layer** opened);
int layer_close(layer* l);
int layer_versions(layer* l, char* text, size_t bytes);
int layer_multiply(layer* l, const layer_product* p);
int layer_cholesky_bytes(layer* l, long long n, const void* a, long long lda, layer_buffers* needed);
int layer_cholesky(layer* l, long long n, void* a, long long lda, const layer_buffers* given, int* info);
int layer_invert_triangle_bytes(layer* l, long long n, void* a, long long lda, layer_buffers* needed);
int layer_invert_triangle(layer* l, long long n, void* a, long long lda, const layer_buffers* given, int* info);

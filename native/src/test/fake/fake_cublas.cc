// libcublas.so.12 and .13 for machines without a GPU: the functions and numbers of cuBLAS that Quern uses, products by plain loops:
// a sum over k is added in order, in fp32. Anything that Quern does not use is "not supported".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "fake.h"

#ifndef FAKE_MAJOR
#error FAKE_MAJOR is 12 or 13
#endif

namespace {

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { F32 = 0, BF16 = 14, COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69 };

struct Handle {
  unsigned magic = 0xB1A5;
  void* stream = nullptr;
  void* workspace = nullptr;
  int math_mode = 0;
};
bool bad(const Handle* h) { return !h || h->magic != 0xB1A5; }

float number(const void* p, size_t i, int type) {
  if (type == F32) return ((const float*)p)[i];
  uint32_t bits = (uint32_t)((const uint16_t*)p)[i] << 16; // bf16 is the upper half of a float
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
uint16_t bf16(float f) { // to nearest, ties to even
  uint32_t bits;
  memcpy(&bits, &f, 4);
  if (f != f) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// op(X), rows x cols and column-major in fp32, of a column-major X whose columns are ld apart. Empty if memory is not as it must be.
std::vector<float> operand(const void* x, int type, int ld, bool transpose, int rows, int cols, const char* who) {
  std::vector<float> all((size_t)rows * cols);
  if (all.empty()) return all;
  size_t size = type == F32 ? 4 : 2, run = transpose ? cols : rows, runs = transpose ? rows : cols;
  const char* p = (const char*)fake::device(x, ((runs - 1) * ld + run) * size, who);
  if (!p) return {};
  for (size_t i = 0; i < runs; i++)
    if (!fake::written(p + i * ld * size, run, size, who)) return {};
  for (int j = 0; j < cols; j++)
    for (int i = 0; i < rows; i++) all[(size_t)j * rows + i] = number(p, transpose ? (size_t)i * ld + j : (size_t)j * ld + i, type);
  return all;
}

struct Product {
  const char* who;
  int ta, tb, m, n, k;
  float alpha, beta;
  const void *a, *b;
  void* c;
  int operands, result, lda, ldb, ldc;
};

void multiply(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  std::vector<float> a = operand(p.a, p.operands, p.lda, p.ta, p.m, p.k, p.who);
  std::vector<float> b = operand(p.b, p.operands, p.ldb, p.tb, p.k, p.n, p.who);
  size_t size = p.result == F32 ? 4 : 2;
  char* c = (char*)fake::device(p.c, ((size_t)(p.n - 1) * p.ldc + p.m) * size, p.who);
  if (!fake::context_works()) return;
  std::vector<float> sum(p.m);
  for (int j = 0; j < p.n; j++) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (int l = 0; l < p.k; l++) {
      float factor = b[(size_t)j * p.k + l];
      const float* column = &a[(size_t)l * p.m];
      for (int i = 0; i < p.m; i++) sum[i] += column[i] * factor;
    }
    char* to = c + (size_t)j * p.ldc * size;
    if (p.beta != 0 && !fake::written(to, p.m, size, p.who)) return;
    for (int i = 0; i < p.m; i++) {
      float value = p.alpha * sum[i] + (p.beta == 0 ? 0.0f : p.beta * number(to, i, p.result));
      if (p.result == F32) ((float*)to)[i] = value;
      else ((uint16_t*)to)[i] = bf16(value);
    }
  }
}

int check(const Handle* h, const Product& p, int compute) {
  if (bad(h)) return NOT_INITIALIZED;
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.lda < std::max(1, p.ta ? p.k : p.m) || p.ldb < std::max(1, p.tb ? p.n : p.k) ||
      p.ldc < std::max(1, p.m))
    return INVALID_VALUE;
  bool known = (p.operands == BF16 && (p.result == F32 || p.result == BF16) && compute == COMPUTE_32F) ||
               (p.operands == F32 && p.result == F32 && compute == COMPUTE_32F_PEDANTIC);
  if (!known) return NOT_SUPPORTED;
  if (p.operands == BF16 && h->math_mode != 16) {
    fprintf(stderr, "fake cuBLAS: parts of a sum may be rounded to bf16 before they are added\n");
    return NOT_SUPPORTED;
  }
  if (!h->workspace) {
    fprintf(stderr, "fake cuBLAS: the handle has no workspace of its own, so its results could depend on other streams\n");
    return NOT_SUPPORTED;
  }
  return SUCCESS;
}

} // namespace

#define MAY_FAIL \
  if (int status = fake::injected(__func__)) return status

extern "C" {

int cublasGetProperty(int type, int* value) { MAY_FAIL; *value = type == 0 ? FAKE_MAJOR : type == 1 ? 9 : 1; return SUCCESS; }
const char* cublasGetStatusString(int status) {
  switch (status) {
    case SUCCESS: return "success";
    case NOT_INITIALIZED: return "the library was not initialized";
    case 3: return "the resource allocation failed";
    case INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case EXECUTION_FAILED: return "the function failed to launch on the GPU";
    case 14: return "an internal operation failed";
    case NOT_SUPPORTED: return "the functionality requested is not supported";
    default: return "unknown error";
  }
}
int cublasCreate_v2(Handle** h) {
  MAY_FAIL;
  if (!fake::context_works()) return NOT_INITIALIZED;
  *h = new Handle;
  return SUCCESS;
}
int cublasDestroy_v2(Handle* h) {
  if (bad(h)) return NOT_INITIALIZED;
  h->magic = 0;
  delete h;
  MAY_FAIL;
  return SUCCESS;
}
int cublasSetStream_v2(Handle* h, void* stream) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  h->stream = stream;
  h->workspace = nullptr; // as cuBLAS does
  return SUCCESS;
}
int cublasSetWorkspace_v2(Handle* h, void* workspace, size_t bytes) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  if ((uint64_t)workspace % 256 || !fake::device(workspace, bytes, __func__)) return INVALID_VALUE;
  h->workspace = workspace;
  return SUCCESS;
}
int cublasSetMathMode(Handle* h, int mode) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  h->math_mode = mode;
  return SUCCESS;
}

#ifndef FAKE_LACKS_GEMM
int cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at, int lda, const void* b,
                 int bt, int ldb, const void* beta, void* c, int ct, int ldc, int compute, int algorithm) {
  MAY_FAIL;
  Product p{__func__, ta, tb, m, n, k, *(const float*)alpha, *(const float*)beta, a, b, c, at, ct, lda, ldb, ldc};
  if (at != bt || algorithm != -1) return NOT_SUPPORTED;
  if (int status = check(h, p, compute)) return status;
  return fake::enqueue(h->stream, [p] { multiply(p); }) ? SUCCESS : EXECUTION_FAILED;
}
#endif
int cublasGemmStridedBatchedEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at, int lda,
                               long long stride_a, const void* b, int bt, int ldb, long long stride_b, const void* beta, void* c,
                               int ct, int ldc, long long stride_c, int count, int compute, int algorithm) {
  MAY_FAIL;
  Product p{__func__, ta, tb, m, n, k, *(const float*)alpha, *(const float*)beta, a, b, c, at, ct, lda, ldb, ldc};
  if (at != bt || algorithm != -1 || at != F32) return NOT_SUPPORTED;
  if (count < 0) return INVALID_VALUE;
  if (int status = check(h, p, compute)) return status;
  bool queued = fake::enqueue(h->stream, [=] {
    Product one = p;
    for (long long i = 0; i < count; i++) {
      one.a = (const float*)p.a + i * stride_a;
      one.b = (const float*)p.b + i * stride_b;
      one.c = (float*)p.c + i * stride_c;
      multiply(one);
    }
  });
  return queued ? SUCCESS : EXECUTION_FAILED;
}

} // extern "C"

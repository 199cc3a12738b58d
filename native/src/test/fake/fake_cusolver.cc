// libcusolver.so.11 (CUDA 12) and .12 (CUDA 13) for machines without a GPU: Cholesky factor and inverse of a triangle by the
// textbook's loops. What the real ones leave open is filled with what nobody wrote: the other triangle, and the buffers.
#include <math.h>
#include <string.h>

#include "fake.h"

#ifndef FAKE_MAJOR
#error FAKE_MAJOR is 11 or 12
#endif

namespace {

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 3, EXECUTION_FAILED = 6, NOT_SUPPORTED = 9 };
enum { LOWER = 0, UPPER = 1, F32 = 0 };

struct Handle { unsigned magic = 0x50E7; void* stream = nullptr; bool deterministic = false; };
struct Params { unsigned magic = 0x9A4A; };
bool bad(const Handle* h) { return !h || h->magic != 0x50E7; }

// Other for each function, size and triangle, so that one is not taken for the other.
size_t potrf_bytes(int64_t n, int uplo) { return 4096 + 64 * n + 256 * uplo; }
size_t potrf_host_bytes(int64_t n) { return 512 + n; }
size_t trtri_bytes(int64_t n, int uplo) { return 8192 + 128 * n + 256 * uplo; }

struct Matrix { // the lower triangle, whichever way it is stored
  float* p;
  int64_t ld;
  int uplo;
  float& at(int64_t i, int64_t j) const { return uplo == LOWER ? p[j * ld + i] : p[i * ld + j]; } // i >= j; column-major
};

struct Call {
  const char* who;
  int uplo;
  int64_t n, ld;
  void *a, *buffer;
  size_t buffer_bytes;
  void* host;
  size_t host_bytes;
  int* info;
};

// Null where memory is not as it must be.
float* open(const Call& c) {
  float* a = (float*)fake::device(c.a, ((c.n - 1) * c.ld + c.n) * sizeof(float), c.who);
  void* buffer = fake::device(c.buffer, c.buffer_bytes, c.who);
  if (!a || !buffer || !fake::device(c.info, sizeof(int), c.who)) return nullptr;
  for (int64_t i = 0; i < c.n; i++) {
    float* run = c.uplo == UPPER ? a + i * c.ld : a + i * c.ld + i;
    if (!fake::written(run, c.uplo == UPPER ? i + 1 : c.n - i, sizeof(float), c.who)) return nullptr;
  }
  memset(buffer, 0xff, c.buffer_bytes);
  if (c.host_bytes) memset(c.host, 0xff, c.host_bytes);
  for (int64_t i = 0; i < c.n; i++) {
    float* run = c.uplo == UPPER ? a + i * c.ld + i + 1 : a + i * c.ld;
    memset(run, 0xff, (c.uplo == UPPER ? c.n - i - 1 : i) * sizeof(float));
  }
  return a;
}
void finish(const Call& c, int info) { *(int*)fake::device(c.info, sizeof(int), c.who) = info; }

void potrf(const Call& c) {
  float* a = open(c);
  if (!a) return;
  Matrix m{a, c.ld, c.uplo};
  for (int64_t j = 0; j < c.n; j++) {
    for (int64_t i = j; i < c.n; i++) {
      float sum = m.at(i, j);
      for (int64_t k = 0; k < j; k++) sum -= m.at(i, k) * m.at(j, k);
      if (i > j) {
        m.at(i, j) = sum / m.at(j, j);
      } else if (sum > 0) { // false for NaN
        m.at(j, j) = sqrtf(sum);
      } else {
        return finish(c, (int)j + 1);
      }
    }
  }
  finish(c, 0);
}

void trtri(const Call& c) {
  float* a = open(c);
  if (!a) return;
  Matrix m{a, c.ld, c.uplo};
  for (int64_t i = 0; i < c.n; i++)
    if (m.at(i, i) == 0) return finish(c, (int)i + 1);
  for (int64_t i = 0; i < c.n; i++) { // row i of the inverse: -(sum over k in [j, i) of A[i, k] inv[k, j]) / A[i, i]
    float diagonal = m.at(i, i);
    for (int64_t j = 0; j < i; j++) {
      float sum = 0;
      for (int64_t k = j; k < i; k++) sum += m.at(i, k) * m.at(k, j);
      m.at(i, j) = -sum / diagonal; // A[i, j] is not needed for a later column
    }
    m.at(i, i) = 1 / diagonal;
  }
  finish(c, 0);
}

int check(const Handle* h, const Call& c, size_t bytes, size_t host_bytes) {
  if (bad(h)) return NOT_INITIALIZED;
  if (!h->deterministic) return NOT_SUPPORTED;
  if (c.n < 1 || c.ld < c.n || (c.uplo != LOWER && c.uplo != UPPER)) return INVALID_VALUE;
  if (c.buffer_bytes < bytes || c.host_bytes < host_bytes || (host_bytes && !c.host)) return INVALID_VALUE;
  return SUCCESS;
}

} // namespace

#define MAY_FAIL \
  if (int status = fake::injected(__func__)) return status

extern "C" {

int cusolverGetProperty(int type, int* value) { MAY_FAIL; *value = type == 0 ? FAKE_MAJOR : type == 1 ? 7 : 5; return SUCCESS; }
int cusolverDnCreate(Handle** h) {
  MAY_FAIL;
  if (!fake::context_works()) return NOT_INITIALIZED;
  *h = new Handle;
  return SUCCESS;
}
int cusolverDnDestroy(Handle* h) {
  if (bad(h)) return NOT_INITIALIZED;
  h->magic = 0;
  delete h;
  MAY_FAIL;
  return SUCCESS;
}
int cusolverDnSetStream(Handle* h, void* stream) { MAY_FAIL; if (bad(h)) return NOT_INITIALIZED; h->stream = stream; return SUCCESS; }
int cusolverDnSetDeterministicMode(Handle* h, int mode) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  h->deterministic = mode == 1;
  return SUCCESS;
}
int cusolverDnCreateParams(Params** p) { MAY_FAIL; *p = new Params; return SUCCESS; }
int cusolverDnDestroyParams(Params* p) {
  MAY_FAIL;
  if (!p || p->magic != 0x9A4A) return INVALID_VALUE;
  p->magic = 0;
  delete p;
  return SUCCESS;
}

int cusolverDnXpotrf_bufferSize(Handle* h, Params* params, int uplo, int64_t n, int type, const void*, int64_t ld, int compute,
                                size_t* device_bytes, size_t* host_bytes) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  if (!params || n < 1 || ld < n || (uplo != LOWER && uplo != UPPER)) return INVALID_VALUE;
  if (type != F32 || compute != F32) return NOT_SUPPORTED;
  *device_bytes = potrf_bytes(n, uplo);
  *host_bytes = potrf_host_bytes(n);
  return SUCCESS;
}
int cusolverDnXpotrf(Handle* h, Params* params, int uplo, int64_t n, int type, void* a, int64_t ld, int compute, void* buffer,
                     size_t buffer_bytes, void* host, size_t host_bytes, int* info) {
  MAY_FAIL;
  if (!params) return INVALID_VALUE;
  if (type != F32 || compute != F32) return NOT_SUPPORTED;
  Call c{__func__, uplo, n, ld, a, buffer, buffer_bytes, host, host_bytes, info};
  if (int status = check(h, c, potrf_bytes(n, uplo), potrf_host_bytes(n))) return status;
  return fake::enqueue(h->stream, [c] { potrf(c); }) ? SUCCESS : EXECUTION_FAILED;
}
int cusolverDnXtrtri_bufferSize(Handle* h, int uplo, int diagonal, int64_t n, int type, void*, int64_t ld, size_t* device_bytes,
                                size_t* host_bytes) {
  MAY_FAIL;
  if (bad(h)) return NOT_INITIALIZED;
  if (n < 1 || ld < n || (uplo != LOWER && uplo != UPPER)) return INVALID_VALUE;
  if (type != F32 || diagonal != 0) return NOT_SUPPORTED;
  *device_bytes = trtri_bytes(n, uplo);
  *host_bytes = 0;
  return SUCCESS;
}
int cusolverDnXtrtri(Handle* h, int uplo, int diagonal, int64_t n, int type, void* a, int64_t ld, void* buffer, size_t buffer_bytes,
                     void* host, size_t host_bytes, int* info) {
  MAY_FAIL;
  if (type != F32 || diagonal != 0) return NOT_SUPPORTED;
  Call c{__func__, uplo, n, ld, a, buffer, buffer_bytes, host, host_bytes, info};
  if (int status = check(h, c, trtri_bytes(n, uplo), 0)) return status;
  return fake::enqueue(h->stream, [c] { trtri(c); }) ? SUCCESS : EXECUTION_FAILED;
}

} // extern "C"

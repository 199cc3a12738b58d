#include "layer.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"

#define FIELD(type, name, parameters) type(*name) parameters;

/* A pair of libraries of one CUDA major. They are opened once and stay open, as libraries with threads of their own must. */
typedef struct {
  int major;
  const char *cublas, *cusolver;
  int open;
  CUBLAS_ENTRIES(FIELD)
  CUSOLVER_ENTRIES(FIELD)
} pair;

static pair pairs[] = {{.major = 13, .cublas = "libcublas.so.13", .cusolver = "libcusolver.so.12"},
                       {.major = 12, .cublas = "libcublas.so.12", .cusolver = "libcusolver.so.11"}};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct layer {
  const pair* use;
  void *cublas, *cusolver, *params;
};

static __thread char error[2048];

const char* layer_error(void) { return error; }

__attribute__((format(printf, 1, 2))) static int fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error, sizeof error, format, arguments);
  va_end(arguments);
  return -1;
}

static int cublas_status(const pair* use, int status, const char* call) {
  return status ? fail("%s: %s (%d)", call, use->cublasGetStatusString(status), status) : 0;
}

/* cuSOLVER has no function that says these: the names of cusolverStatus_t. */
static int cusolver_status(int status, const char* call) {
  static const char* const texts[] = {"success", "not initialized", "allocation failed", "invalid value", "architecture mismatch",
                                      "mapping error", "execution failed", "internal error", "matrix type not supported",
                                      "not supported"};
  int known = status > 0 && status < (int)(sizeof texts / sizeof *texts);
  return status ? fail("%s: %s (%d)", call, known ? texts[status] : "an error without a text", status) : 0;
}

#define CUBLAS(use, name, ...) cublas_status(use, (use)->name(__VA_ARGS__), #name)
#define CUSOLVER(use, name, ...) cusolver_status((use)->name(__VA_ARGS__), #name)

/* Opens one pair, or appends to the error why it can't. */
static int open_pair(pair* p) {
  if (p->open) return 0;
  size_t used = strlen(error);
  char* end = error + used;
  size_t room = sizeof error - used;
  const char *lacking = NULL, *missing = NULL;
  void* cublas = dlopen(p->cublas, RTLD_NOW | RTLD_LOCAL);
  if (!cublas) {
    snprintf(end, room, " [CUDA %d: %s]", p->major, dlerror());
    return -1;
  }
  void* cusolver = dlopen(p->cusolver, RTLD_NOW | RTLD_LOCAL);
  if (!cusolver) {
    snprintf(end, room, " [CUDA %d: %s]", p->major, dlerror());
    dlclose(cublas);
    return -1;
  }
#define FROM_CUBLAS(type, name, parameters) \
  if (!(p->name = (type(*) parameters)dlsym(cublas, #name))) lacking = p->cublas, missing = #name;
#define FROM_CUSOLVER(type, name, parameters) \
  if (!(p->name = (type(*) parameters)dlsym(cusolver, #name))) lacking = p->cusolver, missing = #name;
  CUBLAS_ENTRIES(FROM_CUBLAS)
  CUSOLVER_ENTRIES(FROM_CUSOLVER)
  if (missing) {
    snprintf(end, room, " [CUDA %d: %s has no %s; CUDA 12.2 or later is needed]", p->major, lacking, missing);
    dlclose(cusolver);
    dlclose(cublas);
    return -1;
  }
  p->open = 1;
  return 0;
}

static int choose_pair(int major, const pair** use) {
  snprintf(error, sizeof error, "Cannot open cuBLAS and cuSOLVER:");
  int status = -1, asked = 0;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs && status; i++) {
    if (major && major != pairs[i].major) continue;
    asked = 1;
    status = open_pair(&pairs[i]);
    *use = &pairs[i];
  }
  pthread_mutex_unlock(&lock);
  if (!asked) return fail("Cannot open cuBLAS and cuSOLVER of CUDA %d (12 and 13 are known)", major);
  if (status) {
    size_t used = strlen(error);
    snprintf(error + used, sizeof error - used, " (install them, or name their folder in LD_LIBRARY_PATH)");
  }
  return status;
}

static void destroy(layer* l) {
  if (l->params) l->use->cusolverDnDestroyParams(l->params);
  if (l->cusolver) l->use->cusolverDnDestroy(l->cusolver);
  if (l->cublas) l->use->cublasDestroy_v2(l->cublas);
  free(l);
}

int layer_open(int major, void* stream, void* workspace, size_t workspace_bytes, layer** opened) {
  const pair* use = NULL;
  if (choose_pair(major, &use)) return -1;
  layer* l = calloc(1, sizeof *l);
  if (!l) return fail("Cannot open cuBLAS and cuSOLVER: the host has no memory left");
  l->use = use;
  /* The stream first: setting it takes a handle's own workspace away. */
  if (CUBLAS(use, cublasCreate_v2, &l->cublas) || CUBLAS(use, cublasSetStream_v2, l->cublas, stream) ||
      CUBLAS(use, cublasSetWorkspace_v2, l->cublas, workspace, workspace_bytes) ||
      /* Parts of a sum that was split over multiprocessors are added in fp32, also where C is bf16. */
      CUBLAS(use, cublasSetMathMode, l->cublas, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) ||
      CUSOLVER(use, cusolverDnCreate, &l->cusolver) || CUSOLVER(use, cusolverDnSetStream, l->cusolver, stream) ||
      CUSOLVER(use, cusolverDnSetDeterministicMode, l->cusolver, CUSOLVER_DETERMINISTIC_RESULTS) ||
      CUSOLVER(use, cusolverDnCreateParams, &l->params)) {
    destroy(l);
    return -1;
  }
  *opened = l;
  return 0;
}

int layer_close(layer* l) {
  const pair* use = l->use;
  int status = CUSOLVER(use, cusolverDnDestroyParams, l->params);
  status |= CUSOLVER(use, cusolverDnDestroy, l->cusolver);
  status |= CUBLAS(use, cublasDestroy_v2, l->cublas);
  free(l);
  return status;
}

int layer_versions(layer* l, char* text, size_t bytes) {
  int cublas[3], cusolver[3];
  for (int i = MAJOR_VERSION; i <= PATCH_LEVEL; i++) {
    if (CUBLAS(l->use, cublasGetProperty, i, &cublas[i]) || CUSOLVER(l->use, cusolverGetProperty, i, &cusolver[i])) return -1;
  }
  snprintf(text, bytes, "cublas-%d.%d.%d/cusolver-%d.%d.%d", cublas[0], cublas[1], cublas[2], cusolver[0], cusolver[1],
           cusolver[2]);
  return 0;
}

static int fits(long long value) { return value >= 0 && value <= INT_MAX; }

int layer_multiply(layer* l, const layer_product* p) {
  if (!fits(p->m) || !fits(p->n) || !fits(p->k) || !fits(p->lda) || !fits(p->ldb) || !fits(p->ldc) || !fits(p->count)) {
    return fail("Cannot multiply %lld x %lld by %lld x %lld, rows %lld, %lld and %lld apart, %lld times: cuBLAS takes sizes up to "
                "2147483647 (use smaller batches)",
                p->m, p->k, p->k, p->n, p->lda, p->ldb, p->ldc, p->count);
  }
  const pair* use = l->use;
  /* A row-major matrix is a column-major one, transposed: C^T = op(B)^T op(A)^T. */
  int first = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  if (p->count == 1) {
    return CUBLAS(use, cublasGemmEx, l->cublas, first, second, (int)p->n, (int)p->m, (int)p->k, &p->alpha, p->b, p->operands,
                  (int)p->ldb, p->a, p->operands, (int)p->lda, &p->beta, p->c, p->result, (int)p->ldc, p->sums, CUBLAS_GEMM_DEFAULT);
  }
  return CUBLAS(use, cublasGemmStridedBatchedEx, l->cublas, first, second, (int)p->n, (int)p->m, (int)p->k, &p->alpha, p->b,
                p->operands, (int)p->ldb, p->stride_b, p->a, p->operands, (int)p->lda, p->stride_a, &p->beta, p->c, p->result,
                (int)p->ldc, p->stride_c, (int)p->count, p->sums, CUBLAS_GEMM_DEFAULT);
}

/* The lower triangle of a row-major matrix is the upper one of a column-major one: L L^T there is U^T U here. */

int layer_cholesky_bytes(layer* l, long long n, const void* a, long long lda, layer_buffers* needed) {
  return CUSOLVER(l->use, cusolverDnXpotrf_bufferSize, l->cusolver, l->params, CUBLAS_FILL_MODE_UPPER, n, CUDA_R_32F, a, lda, CUDA_R_32F,
                  &needed->device_bytes, &needed->host_bytes);
}

int layer_cholesky(layer* l, long long n, void* a, long long lda, const layer_buffers* given, int* info) {
  return CUSOLVER(l->use, cusolverDnXpotrf, l->cusolver, l->params, CUBLAS_FILL_MODE_UPPER, n, CUDA_R_32F, a, lda, CUDA_R_32F, given->device,
                  given->device_bytes, given->host, given->host_bytes, info);
}

int layer_invert_triangle_bytes(layer* l, long long n, void* a, long long lda, layer_buffers* needed) {
  return CUSOLVER(l->use, cusolverDnXtrtri_bufferSize, l->cusolver, CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, CUDA_R_32F, a, lda,
                  &needed->device_bytes, &needed->host_bytes);
}

int layer_invert_triangle(layer* l, long long n, void* a, long long lda, const layer_buffers* given, int* info) {
  return CUSOLVER(l->use, cusolverDnXtrtri, l->cusolver, CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, CUDA_R_32F, a, lda, given->device,
                  given->device_bytes, given->host, given->host_bytes, info);
}

// The C layer on the fakes. layer_test CASE, with LD_LIBRARY_PATH naming the libraries of the case: see CMakeLists.txt.
#include <math.h>
#include <stdint.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "driver.h"
extern "C" {
#include "entries.h"
#include "layer.h"
}

namespace {

const size_t WORKSPACE = 1 << 20;
const unsigned SEED = 20261128;
void *stream, *workspace;

struct Memory { // on the device
  void* at = nullptr;
  size_t bytes;
  explicit Memory(size_t bytes) : bytes(bytes) { CHECK_EQUAL(cuMemAlloc_v2(&at, bytes), 0); }
  template <class T> explicit Memory(const std::vector<T>& v) : Memory(v.size() * sizeof(T)) {
    CHECK_EQUAL(cuMemcpyHtoD_v2(at, v.data(), bytes), 0);
  }
  ~Memory() { cuMemFree_v2(at); }
  template <class T> std::vector<T> read() const {
    std::vector<T> v(bytes / sizeof(T));
    CHECK_EQUAL(cuStreamSynchronize(stream), 0);
    CHECK_EQUAL(cuMemcpyDtoH_v2(v.data(), at, bytes), 0);
    return v;
  }
};

void start() {
  CHECK_EQUAL(cuInit(0), 0);
  void* context;
  CHECK_EQUAL(cuDevicePrimaryCtxRetain(&context, 0), 0);
  CHECK_EQUAL(cuCtxSetCurrent(context), 0);
  CHECK_EQUAL(cuStreamCreate(&stream, 1), 0);
  CHECK_EQUAL(cuMemAlloc_v2(&workspace, WORKSPACE), 0);
}
struct Closing {
  void operator()(layer* l) const { CHECK_EQUAL(layer_close(l), 0); }
};
using Layer = std::unique_ptr<layer, Closing>;
Layer open(int major) {
  layer* l = nullptr;
  if (layer_open(major, stream, workspace, WORKSPACE, &l)) fprintf(stderr, "%s\n", layer_error());
  CHECK(l);
  return Layer(l);
}
std::string versions(const Layer& l) {
  char text[100];
  CHECK_EQUAL(layer_versions(l.get(), text, sizeof text), 0);
  return text;
}
const char* failure(int major) {
  layer* l = nullptr;
  CHECK(layer_open(major, stream, workspace, WORKSPACE, &l));
  return layer_error();
}
void set(const char* assignment) { // in the fakes
  void* module;
  CHECK_EQUAL(cuModuleLoadData(&module, (std::string("QUERN FAKE ") + assignment).c_str()), 0);
}

// -------------------------------------------------------------------------------------------------- which libraries

const char* const OF_13 = "cublas-13.9.1/cusolver-12.7.5";
const char* const OF_12 = "cublas-12.9.1/cusolver-11.7.5";

void both_majors() {
  Layer any = open(0), twelve = open(12), thirteen = open(13);
  CHECK(versions(any) == OF_13);
  CHECK(versions(twelve) == OF_12);
  CHECK(versions(thirteen) == OF_13);
  CHECK_CONTAINS(failure(11), "of CUDA 11 (12 and 13 are known)");
}
void only_12() {
  CHECK(versions(open(0)) == OF_12);
  const char* text = failure(13);
  CHECK_CONTAINS(text, "[CUDA 13: libcublas.so.13: cannot open shared object file");
  CHECK_CONTAINS(text, "LD_LIBRARY_PATH");
  CHECK(!strstr(text, "CUDA 12"));
}
void half_of_13() { // cuBLAS of 13 without its cuSOLVER is not put together with that of 12
  CHECK(versions(open(0)) == OF_12);
  CHECK_CONTAINS(failure(13), "[CUDA 13: libcusolver.so.12: cannot open shared object file");
}
void none() {
  const char* text = failure(0);
  CHECK_CONTAINS(text, "Cannot open cuBLAS and cuSOLVER: [CUDA 13: libcublas.so.13:");
  CHECK_CONTAINS(text, "[CUDA 12: libcublas.so.12:");
}
void lacking() { CHECK_CONTAINS(failure(0), "libcublas.so.13 has no cublasGemmEx"); }

// --------------------------------------------------------------------------------------------------------- products

float value(float f) { return f; }
float value(uint16_t bits) {
  uint32_t u = (uint32_t)bits << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
template <class T> std::vector<T> random_matrix(size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<T> v(count);
  for (T& x : v) {
    float f = normal(random);
    uint32_t u;
    memcpy(&u, &f, 4);
    if constexpr (sizeof(T) == 4) x = f;
    else x = (uint16_t)(u >> 16);
  }
  return v;
}

// C of the layer against sums in double, for matrices whose rows are further apart than they are long.
template <class T, class R> void product(const Layer& l, layer_product p, double tolerance, std::mt19937& random) {
  long long a_cols = p.transpose_a ? p.m : p.k, b_cols = p.transpose_b ? p.k : p.n;
  p.lda = a_cols + 8;
  p.ldb = b_cols + 16;
  p.ldc = p.n + 8;
  long long a_size = (p.transpose_a ? p.k : p.m) * p.lda, b_size = (p.transpose_b ? p.n : p.k) * p.ldb, c_size = p.m * p.ldc;
  if (p.stride_a) p.stride_a = a_size;
  if (p.stride_b) p.stride_b = b_size;
  p.stride_c = c_size;
  std::vector<T> a = random_matrix<T>((p.stride_a ? p.count : 1) * a_size, random);
  std::vector<T> b = random_matrix<T>((p.stride_b ? p.count : 1) * b_size, random);
  std::vector<R> c = random_matrix<R>(p.count * c_size, random);
  Memory da(a), db(b), dc(c);
  p.a = da.at;
  p.b = db.at;
  p.c = dc.at;
  if (layer_multiply(l.get(), &p)) fprintf(stderr, "%s\n", layer_error()), exit(1);
  std::vector<R> got = dc.read<R>();
  for (long long t = 0; t < p.count; t++)
    for (long long i = 0; i < p.m; i++)
      for (long long j = 0; j < p.ldc; j++) {
        size_t at = t * c_size + i * p.ldc + j;
        double expected = value(c[at]);
        if (j < p.n) {
          expected *= p.beta;
          for (long long q = 0; q < p.k; q++)
            expected += (double)p.alpha * value(a[t * p.stride_a + (p.transpose_a ? q * p.lda + i : i * p.lda + q)]) *
                        value(b[t * p.stride_b + (p.transpose_b ? j * p.ldb + q : q * p.ldb + j)]);
        }
        double allowed = j < p.n ? tolerance * (1 + fabs(expected)) : 0; // between the rows nothing is touched
        if (fabs(value(got[at]) - expected) > allowed) {
          fprintf(stderr, "product %lld, element (%lld, %lld): %g, not %g (seed %u)\n", t, i, j, value(got[at]), expected, SEED);
          exit(1);
        }
      }
}

void products() {
  std::mt19937 random(SEED);
  for (int major : {12, 13}) {
    Layer l = open(major);
    for (int ta : {0, 1})
      for (int tb : {0, 1})
        for (float beta : {0.0f, 1.0f, -0.5f}) {
          layer_product p = {};
          p.transpose_a = ta, p.transpose_b = tb, p.m = 5, p.n = 7, p.k = 33, p.alpha = 0.75f, p.beta = beta, p.count = 1;
          p.operands = CUDA_R_16BF, p.result = CUDA_R_32F, p.sums = CUBLAS_COMPUTE_32F;
          product<uint16_t, float>(l, p, 1e-5, random);
          p.result = CUDA_R_16BF;
          product<uint16_t, uint16_t>(l, p, 1.0 / 256 + 1e-5, random);
          p.operands = p.result = CUDA_R_32F, p.sums = CUBLAS_COMPUTE_32F_PEDANTIC;
          product<float, float>(l, p, 1e-5, random);
          p.count = 3, p.stride_a = p.stride_b = 1;
          product<float, float>(l, p, 1e-5, random);
          p.stride_b = 0; // always the same B
          product<float, float>(l, p, 1e-5, random);
        }
  }
}

void sizes_beyond_32_bits() {
  Layer l = open(0);
  for (int which = 0; which < 7; which++) {
    layer_product p = {};
    p.m = p.n = p.k = p.lda = p.ldb = p.ldc = p.count = 1;
    p.sums = CUBLAS_COMPUTE_32F_PEDANTIC;
    long long* sizes[] = {&p.m, &p.n, &p.k, &p.lda, &p.ldb, &p.ldc, &p.count};
    *sizes[which] = 1ll << 31;
    CHECK(layer_multiply(l.get(), &p));
    CHECK_CONTAINS(layer_error(), "Cannot multiply");
    CHECK_CONTAINS(layer_error(), "2147483648");
    *sizes[which] = -1;
    CHECK(layer_multiply(l.get(), &p));
    CHECK_CONTAINS(layer_error(), "Cannot multiply");
  }
}

// --------------------------------------------------------------------------------------------------- factorizations

int info_of(const Memory& info) { return info.read<int>()[0]; }

void factors() {
  std::mt19937 random(SEED);
  for (int major : {12, 13})
    for (int n : {1, 2, 37}) {
      Layer l = open(major);
      int ld = n + 4;
      std::vector<float> x = random_matrix<float>(n * n, random), a(n * ld, NAN);
      std::vector<double> h(n * n);
      for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
          for (int k = 0; k < n; k++) h[i * n + j] += (double)x[i * n + k] * x[j * n + k];
          if (i == j) h[i * n + j] += 1;
          if (j <= i) a[i * ld + j] = (float)h[i * n + j]; // above the diagonal nobody looks
        }
      Memory da(a), info(4);
      layer_buffers needed = {};
      CHECK_EQUAL(layer_cholesky_bytes(l.get(), n, da.at, ld, &needed), 0);
      CHECK(needed.device_bytes > 0 && needed.host_bytes > 0);
      Memory buffer(needed.device_bytes);
      std::vector<char> host(needed.host_bytes);
      layer_buffers given = {buffer.at, needed.device_bytes, host.data(), needed.host_bytes};
      CHECK_EQUAL(layer_cholesky(l.get(), n, da.at, ld, &given, (int*)info.at), 0);
      CHECK_EQUAL(info_of(info), 0);
      std::vector<float> factor = da.read<float>();
      for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) { // L L^T is H
          double sum = 0;
          for (int k = 0; k <= j; k++) sum += (double)factor[i * ld + k] * factor[j * ld + k];
          CHECK(fabs(sum - h[i * n + j]) < 1e-4 * (1 + fabs(h[i * n + j])));
        }

      given.device_bytes--;
      CHECK(layer_cholesky(l.get(), n, da.at, ld, &given, (int*)info.at));
      CHECK_CONTAINS(layer_error(), "cusolverDnXpotrf: invalid value (3)");

      CHECK_EQUAL(layer_invert_triangle_bytes(l.get(), n, da.at, ld, &needed), 0);
      Memory larger(needed.device_bytes);
      layer_buffers for_inverse = {larger.at, needed.device_bytes, nullptr, needed.host_bytes};
      CHECK_EQUAL(layer_invert_triangle(l.get(), n, da.at, ld, &for_inverse, (int*)info.at), 0);
      CHECK_EQUAL(info_of(info), 0);
      std::vector<float> inverse = da.read<float>();
      for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) { // inv(L) L is the identity
          double sum = 0;
          for (int k = j; k <= i; k++) sum += (double)inverse[i * ld + k] * factor[k * ld + j];
          CHECK(fabs(sum - (i == j)) < 1e-3);
        }
    }
}

void not_positive_definite() {
  Layer l = open(0);
  int n = 4;
  std::vector<float> a(n * n, 0.0f);
  for (int i = 0; i < n; i++) a[i * n + i] = i == 2 ? -1.0f : 1.0f;
  Memory da(a), info(4);
  layer_buffers needed = {};
  CHECK_EQUAL(layer_cholesky_bytes(l.get(), n, da.at, n, &needed), 0);
  Memory buffer(needed.device_bytes);
  std::vector<char> host(needed.host_bytes);
  layer_buffers given = {buffer.at, needed.device_bytes, host.data(), needed.host_bytes};
  CHECK_EQUAL(layer_cholesky(l.get(), n, da.at, n, &given, (int*)info.at), 0);
  CHECK_EQUAL(info_of(info), 3);

  a[2 * n + 2] = 0;
  Memory singular(a);
  CHECK_EQUAL(layer_invert_triangle_bytes(l.get(), n, singular.at, n, &needed), 0);
  Memory more(needed.device_bytes);
  layer_buffers for_inverse = {more.at, needed.device_bytes, nullptr, 0};
  CHECK_EQUAL(layer_invert_triangle(l.get(), n, singular.at, n, &for_inverse, (int*)info.at), 0);
  CHECK_EQUAL(info_of(info), 3);
}

// ----------------------------------------------------------------------------------------------------------- errors

void every_call_can_fail() {
  struct { const char *call, *status, *text; } cases[] = {
      {"cublasCreate_v2", "1", "cublasCreate_v2: the library was not initialized (1)"},
      {"cublasSetStream_v2", "7", "cublasSetStream_v2: an unsupported value or parameter was passed to the function (7)"},
      {"cublasSetWorkspace_v2", "3", "cublasSetWorkspace_v2: the resource allocation failed (3)"},
      {"cublasSetMathMode", "7", "cublasSetMathMode: "},
      {"cusolverDnCreate", "2", "cusolverDnCreate: allocation failed (2)"},
      {"cusolverDnSetStream", "1", "cusolverDnSetStream: not initialized (1)"},
      {"cusolverDnSetDeterministicMode", "9", "cusolverDnSetDeterministicMode: not supported (9)"},
      {"cusolverDnCreateParams", "77", "cusolverDnCreateParams: an error without a text (77)"}};
  for (auto& c : cases) {
    set((std::string("FAKE_CUDA_FAIL=") + c.call + ":" + c.status).c_str());
    CHECK_CONTAINS(failure(0), c.text);
    set("FAKE_CUDA_FAIL=");
  }
  Layer l = open(0);
  Memory m(std::vector<float>(16, 1.0f)), info(4);
  layer_product p = {};
  p.m = p.n = p.k = p.lda = p.ldb = p.ldc = p.count = 1;
  p.a = p.b = p.c = m.at;
  p.sums = CUBLAS_COMPUTE_32F_PEDANTIC;
  layer_buffers buffers = {};
  char text[100];
  set("FAKE_CUDA_FAIL=cublasGemmEx:13,cublasGemmStridedBatchedEx:14,cusolverDnXpotrf_bufferSize:6,cusolverDnXtrtri_bufferSize:7,"
      "cusolverDnXpotrf:6,cusolverDnXtrtri:2,cublasGetProperty:7,cusolverDnDestroy:1");
  CHECK(layer_multiply(l.get(), &p));
  CHECK_CONTAINS(layer_error(), "cublasGemmEx: the function failed to launch on the GPU (13)");
  p.count = 2;
  CHECK(layer_multiply(l.get(), &p));
  CHECK_CONTAINS(layer_error(), "cublasGemmStridedBatchedEx: an internal operation failed (14)");
  CHECK(layer_cholesky_bytes(l.get(), 1, m.at, 1, &buffers));
  CHECK_CONTAINS(layer_error(), "cusolverDnXpotrf_bufferSize: execution failed (6)");
  CHECK(layer_invert_triangle_bytes(l.get(), 1, m.at, 1, &buffers));
  CHECK_CONTAINS(layer_error(), "cusolverDnXtrtri_bufferSize: internal error (7)");
  CHECK(layer_cholesky(l.get(), 1, m.at, 1, &buffers, (int*)info.at));
  CHECK_CONTAINS(layer_error(), "cusolverDnXpotrf: execution failed (6)");
  CHECK(layer_invert_triangle(l.get(), 1, m.at, 1, &buffers, (int*)info.at));
  CHECK_CONTAINS(layer_error(), "cusolverDnXtrtri: allocation failed (2)");
  CHECK(layer_versions(l.get(), text, sizeof text));
  CHECK_CONTAINS(layer_error(), "cublasGetProperty: ");
  CHECK(layer_close(l.release()));
  CHECK_CONTAINS(layer_error(), "cusolverDnDestroy: not initialized (1)");
}

void a_failed_open_leaves_nothing() { // under the leak check of the address sanitizer
  for (const char* call : {"cublasSetStream_v2", "cusolverDnCreate", "cusolverDnCreateParams"}) {
    set((std::string("FAKE_CUDA_FAIL=") + call + ":3").c_str());
    failure(0);
    set("FAKE_CUDA_FAIL=");
  }
  open(0);
}

// The fakes see what a GPU would see, or would not: each breaks the context, so each is a case of its own.
void wrong_memory(const std::string& what) {
  Layer l = open(0);
  Memory a(std::vector<float>(64, 1.0f)), fresh(256), c(256);
  std::vector<float> host(64, 1.0f);
  layer_product p = {};
  p.m = p.n = p.k = p.lda = p.ldb = p.ldc = 8, p.alpha = 1, p.count = 1, p.sums = CUBLAS_COMPUTE_32F_PEDANTIC;
  p.a = what == "an address of the host" ? host.data() : a.at;
  p.b = what == "memory that nobody wrote" ? fresh.at : a.at;
  p.c = c.at;
  if (what == "beyond the end") p.lda = 9;
  CHECK_EQUAL(layer_multiply(l.get(), &p), 0); // asynchronous
  CHECK_EQUAL(cuStreamSynchronize(stream), what == "memory that nobody wrote" ? 719 : 700);
}

void no_context() {
  CHECK_EQUAL(cuCtxSetCurrent(nullptr), 0);
  CHECK_CONTAINS(failure(0), "cublasCreate_v2: the library was not initialized (1)");
}

} // namespace

int main(int count, char** arguments) {
  std::map<std::string, void (*)()> cases = {{"both_majors", both_majors}, {"only_12", only_12}, {"half_of_13", half_of_13},
      {"none", none}, {"lacking", lacking}, {"products", products}, {"sizes_beyond_32_bits", sizes_beyond_32_bits},
      {"factors", factors}, {"not_positive_definite", not_positive_definite}, {"every_call_can_fail", every_call_can_fail},
      {"a_failed_open_leaves_nothing", a_failed_open_leaves_nothing}, {"no_context", no_context},
      {"host_address", [] { wrong_memory("an address of the host"); }}, {"unwritten", [] { wrong_memory("memory that nobody wrote"); }},
      {"beyond_the_end", [] { wrong_memory("beyond the end"); }}};
  CHECK(count == 2 && cases.count(arguments[1]));
  start();
  cases[arguments[1]]();
}

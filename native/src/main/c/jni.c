/* Java's side of the layer: quern.device.cuda.Libraries, whose header javac -h writes from the Java source. */
#include <stdint.h>

#include "entries.h"
#include "layer.h"
#include "quern_device_cuda_Libraries.h"

#define METHOD(type, name) JNIEXPORT type JNICALL Java_quern_device_cuda_Libraries_##name
#define ADDRESS(value) ((void*)(intptr_t)(value))

/* Throws what the layer said; afterwards the method returns, and Java sees the exception. */
static void check(JNIEnv* env, int status) {
  if (!status) return;
  jclass type = (*env)->FindClass(env, "quern/device/DeviceException");
  if (type) (*env)->ThrowNew(env, type, layer_error());
}

METHOD(jlong, open)(JNIEnv* env, jclass type, jint major, jlong stream, jlong workspace, jlong workspaceBytes) {
  (void)type;
  layer* opened = NULL;
  check(env, layer_open(major, ADDRESS(stream), ADDRESS(workspace), (size_t)workspaceBytes, &opened));
  return (jlong)(intptr_t)opened;
}

METHOD(void, close)(JNIEnv* env, jclass type, jlong libraries) {
  (void)type;
  check(env, layer_close(ADDRESS(libraries)));
}

METHOD(jstring, versions)(JNIEnv* env, jclass type, jlong libraries) {
  (void)type;
  char text[100] = "";
  int status = layer_versions(ADDRESS(libraries), text, sizeof text);
  check(env, status);
  return status ? NULL : (*env)->NewStringUTF(env, text);
}

#define OPERANDS                                                                                                             \
  JNIEnv *env, jclass type, jlong libraries, jboolean transposeA, jboolean transposeB, jlong m, jlong n, jlong k, jfloat alpha, \
      jlong a, jlong lda
#define PRODUCT                                                                                                              \
  .transpose_a = transposeA, .transpose_b = transposeB, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta,                \
  .a = ADDRESS(a), .b = ADDRESS(b), .c = ADDRESS(c), .lda = lda, .ldb = ldb, .ldc = ldc

METHOD(void, multiplyBf16)(OPERANDS, jlong b, jlong ldb, jfloat beta, jlong c, jlong ldc) {
  (void)type;
  layer_product product = {PRODUCT, .count = 1, .operands = CUDA_R_16BF, .result = CUDA_R_32F, .sums = CUBLAS_COMPUTE_32F};
  check(env, layer_multiply(ADDRESS(libraries), &product));
}

METHOD(void, multiplyBf16ToBf16)(OPERANDS, jlong b, jlong ldb, jfloat beta, jlong c, jlong ldc) {
  (void)type;
  layer_product product = {PRODUCT, .count = 1, .operands = CUDA_R_16BF, .result = CUDA_R_16BF, .sums = CUBLAS_COMPUTE_32F};
  check(env, layer_multiply(ADDRESS(libraries), &product));
}

METHOD(void, multiplyF32)(OPERANDS, jlong b, jlong ldb, jfloat beta, jlong c, jlong ldc) {
  (void)type;
  layer_product product = {PRODUCT, .count = 1, .operands = CUDA_R_32F, .result = CUDA_R_32F, .sums = CUBLAS_COMPUTE_32F_PEDANTIC};
  check(env, layer_multiply(ADDRESS(libraries), &product));
}

METHOD(void, multiplyF32Batched)(OPERANDS, jlong strideA, jlong b, jlong ldb, jlong strideB, jfloat beta, jlong c, jlong ldc,
                                 jlong strideC, jlong count) {
  (void)type;
  layer_product product = {PRODUCT, .stride_a = strideA, .stride_b = strideB, .stride_c = strideC, .count = count,
                           .operands = CUDA_R_32F, .result = CUDA_R_32F, .sums = CUBLAS_COMPUTE_32F_PEDANTIC};
  check(env, layer_multiply(ADDRESS(libraries), &product));
}

static jlongArray sizes(JNIEnv* env, int status, const layer_buffers* needed) {
  check(env, status);
  if (status) return NULL;
  jlong both[] = {(jlong)needed->device_bytes, (jlong)needed->host_bytes};
  jlongArray array = (*env)->NewLongArray(env, 2);
  if (array) (*env)->SetLongArrayRegion(env, array, 0, 2, both);
  return array;
}

static layer_buffers buffers(jlong device, jlong deviceBytes, jlong host, jlong hostBytes) {
  return (layer_buffers){ADDRESS(device), (size_t)deviceBytes, ADDRESS(host), (size_t)hostBytes};
}

METHOD(jlongArray, choleskyBytes)(JNIEnv* env, jclass type, jlong libraries, jlong n, jlong a, jlong lda) {
  (void)type;
  layer_buffers needed = {0};
  return sizes(env, layer_cholesky_bytes(ADDRESS(libraries), n, ADDRESS(a), lda, &needed), &needed);
}

METHOD(void, cholesky)(JNIEnv* env, jclass type, jlong libraries, jlong n, jlong a, jlong lda, jlong deviceBuffer,
                       jlong deviceBytes, jlong hostBuffer, jlong hostBytes, jlong info) {
  (void)type;
  layer_buffers given = buffers(deviceBuffer, deviceBytes, hostBuffer, hostBytes);
  check(env, layer_cholesky(ADDRESS(libraries), n, ADDRESS(a), lda, &given, ADDRESS(info)));
}

METHOD(jlongArray, invertTriangleBytes)(JNIEnv* env, jclass type, jlong libraries, jlong n, jlong a, jlong lda) {
  (void)type;
  layer_buffers needed = {0};
  return sizes(env, layer_invert_triangle_bytes(ADDRESS(libraries), n, ADDRESS(a), lda, &needed), &needed);
}

METHOD(void, invertTriangle)(JNIEnv* env, jclass type, jlong libraries, jlong n, jlong a, jlong lda, jlong deviceBuffer,
                             jlong deviceBytes, jlong hostBuffer, jlong hostBytes, jlong info) {
  (void)type;
  layer_buffers given = buffers(deviceBuffer, deviceBytes, hostBuffer, hostBytes);
  check(env, layer_invert_triangle(ADDRESS(libraries), n, ADDRESS(a), lda, &given, ADDRESS(info)));
}

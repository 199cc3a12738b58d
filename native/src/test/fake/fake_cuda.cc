// libcuda.so.1 for machines without a GPU: the driver functions that Quern uses, over host memory, with the kernels run by the
// emulator. It is stricter than a GPU where programs go wrong:
//   - work on a stream runs when somebody waits for it, as late as the rules allow: a buffer that is read or used again too early
//     has the wrong content every time. Copies from and to memory that is not pinned are synchronous, as the driver's are;
//   - fresh memory is 0xff; copies and kernel arguments must lie in a living allocation, else the context breaks as on a GPU
//     (700, and so on every later call);
//   - no current context on the calling thread, more shared memory or threads than a launch may have, a kernel that the image or
//     the emulator does not have: the driver's status.
// A function that is not here is not used by Quern: a new use is added knowingly.
//
//   FAKE_CUDA_FAIL=FUNCTION:STATUS[:NTH][,...]   that call returns the status, every time or the NTH time only; a status after which a
//                                                GPU's context is lost (214, 700 to 720) stays. FAKE_CUBLAS_FAIL and
//                                                FAKE_CUSOLVER_FAIL likewise, for their functions
//   FAKE_CUDA_MEMORY=BYTES                       of each device, 1 GiB if not said
//   FAKE_CUDA_DEVICES=COUNT                      1 if not said
//
// Images: a fat binary, whose kernels then are those that the emulator has too; or, where no CUDA compiler was, the stand-in: the
// text "QUERN FAKE". The same text followed by " NAME=VALUE" sets one of the variables above from inside of the process (an empty
// FAIL ends failures) and counts calls from zero again.
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels.cu"

// A kernel that is declared and not yet written is one that the emulator does not have.
#define WEAK(name) extern "C" __attribute__((weak)) decltype(name) name;
QUERN_KERNELS(WEAK)

namespace {

enum {
  OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201, ECC_UNCORRECTABLE = 214, INVALID_HANDLE = 400, NOT_FOUND = 500
};
const uint64_t DEVICE_BIT = 1ull << 62;
const size_t SHARED_DEFAULT = 48 << 10, SHARED_MOST = 227 << 10; // bytes; more than the first must be asked for

using Clock = std::chrono::steady_clock;
using Work = std::function<void()>;

struct Context { int device; int broken = 0; };
struct Stream { Context* context; bool waits_for_null; std::deque<Work> todo; uint64_t queued = 0, done = 0; };
struct Event { Context* context; Stream* stream = nullptr; uint64_t after = 0; Clock::time_point at; };
struct Allocation { size_t bytes; int device; };

std::recursive_mutex lock; // one for everything: what is waited for runs on the thread that waits
bool initialized;
thread_local std::vector<Context*> current;
std::map<int, Context*> primaries;
std::map<int, int> retained;
std::set<Context*> contexts;
std::map<uint64_t, Allocation> allocations; // by host address
std::map<uint64_t, size_t> pinned;
std::map<int, size_t> used;
std::map<Context*, Stream> null_streams;
std::set<Stream*> streams;
std::set<Event*> events;

Context* here() { return current.empty() ? nullptr : current.back(); }

// ------------------------------------------------------------------------------------------------ settings and failures

struct Failure { int status; int nth; };
struct Settings {
  std::multimap<std::string, Failure> failures;
  std::map<std::string, int> calls;
  size_t memory = 1ull << 30;
  int devices = 1;

  Settings() {
    for (const char* name : {"FAKE_CUDA_FAIL", "FAKE_CUBLAS_FAIL", "FAKE_CUSOLVER_FAIL", "FAKE_CUDA_MEMORY", "FAKE_CUDA_DEVICES"})
      if (const char* value = getenv(name)) set(name, value);
  }
  void set(const std::string& name, const std::string& value) {
    if (name == "FAKE_CUDA_MEMORY") memory = strtoull(value.c_str(), nullptr, 10);
    else if (name == "FAKE_CUDA_DEVICES") devices = atoi(value.c_str());
    else fail(value);
  }
  void fail(const std::string& list) {
    calls.clear();
    if (list.empty()) failures.clear();
    for (size_t from = 0; from < list.size();) {
      size_t to = std::min(list.find(',', from), list.size());
      char function[100];
      Failure f{0, 0};
      std::string one = list.substr(from, to - from);
      if (sscanf(one.c_str(), "%99[^:]:%d:%d", function, &f.status, &f.nth) < 2) {
        fprintf(stderr, "fake CUDA: cannot read the failure '%s'\n", one.c_str());
        abort();
      }
      failures.emplace(function, f);
      from = to + 1;
    }
  }
};
Settings& settings() { static Settings s; return s; }

bool lasting(int status) { return status == ECC_UNCORRECTABLE || (status >= 700 && status <= 720); }

} // namespace

int fake::injected(const char* function) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  int call = ++settings().calls[function];
  auto range = settings().failures.equal_range(function);
  for (auto it = range.first; it != range.second; ++it)
    if (it->second.nth == 0 || it->second.nth == call) return it->second.status;
  return OK;
}

void fake::break_context(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "fake CUDA: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  if (here() && !here()->broken) here()->broken = status;
}

bool fake::context_works() { return here() && !here()->broken; }

#define GUARD std::lock_guard<std::recursive_mutex> guard(lock)
#define ENTER                                              \
  GUARD;                                                   \
  if (here() && here()->broken) return here()->broken;     \
  if (int status = fake::injected(__func__)) {             \
    if (here() && lasting(status)) here()->broken = status; \
    return status;                                         \
  }
#define ENTER_DRIVER \
  ENTER;             \
  if (!initialized) return NOT_INITIALIZED
#define ENTER_CONTEXT \
  ENTER_DRIVER;       \
  if (!here()) return INVALID_CONTEXT

// ------------------------------------------------------------------------------------------------------------- streams

namespace {

Stream* null_stream() {
  Stream& s = null_streams[here()];
  s.context = here();
  return &s;
}
Stream* stream_of(void* handle) {
  if (!handle) return null_stream();
  Stream* s = (Stream*)handle;
  return streams.count(s) && s->context == here() ? s : nullptr;
}

// Runs what is on the stream, up to a number of pieces of work since it was made.
void run(Stream* s, uint64_t until) {
  while (s->done < until && !s->todo.empty()) {
    Work work = std::move(s->todo.front());
    s->todo.pop_front();
    s->done++; // first: work that waits for an event of this very stream has nothing to wait for
    if (!s->context->broken) work();
  }
}
void run(Stream* s) { run(s, s->queued); }
void run_all() {
  for (auto& s : null_streams) run(&s.second);
  for (Stream* s : streams) run(s);
}
// The null stream waits for those that were not made to run beside it, and they for it.
void run_with_null(Context* c) {
  for (Stream* s : streams)
    if (s->waits_for_null && s->context == c) run(s);
  run(&null_streams[c]);
}
void put(Stream* s, Work work) {
  s->todo.push_back(std::move(work));
  s->queued++;
  if (s == &null_streams[s->context]) run_with_null(s->context);
}

} // namespace

bool fake::enqueue(void* stream, Work work) {
  GUARD;
  Stream* s = stream_of(stream);
  if (!s) return false;
  put(s, std::move(work));
  return true;
}

// -------------------------------------------------------------------------------------------------------------- memory

namespace {

bool is_device(const void* p) { return (uint64_t)p & DEVICE_BIT; }
uint64_t host(const void* p) { return (uint64_t)p & ~DEVICE_BIT; }

bool inside(const std::map<uint64_t, Allocation>& all, uint64_t at, size_t bytes) {
  auto it = all.upper_bound(at);
  return it != all.begin() && (--it, at + bytes <= it->first + it->second.bytes);
}
bool is_pinned(const void* p, size_t bytes) {
  auto it = pinned.upper_bound((uint64_t)p);
  return it != pinned.begin() && (--it, (uint64_t)p + bytes <= it->first + it->second);
}

int copy(void* stream, bool asynchronous, void* to, const void* from, size_t bytes, bool to_device, bool from_device,
         int value_bytes = 0, unsigned value = 0) {
  Stream* s = stream_of(stream);
  if (!s) return INVALID_HANDLE;
  if (bytes == 0) return OK;
  if (to_device && (!is_device(to) || !inside(allocations, host(to), bytes))) return INVALID_VALUE;
  if (from_device && (!is_device(from) || !inside(allocations, host(from), bytes))) return INVALID_VALUE;
  if ((!to_device && is_device(to)) || (!value_bytes && !from_device && is_device(from))) return INVALID_VALUE;
  Work work = [=] {
    char* t = (char*)host(to);
    if (!value_bytes) memmove(t, (const void*)host(from), bytes);
    else
      for (size_t i = 0; i < bytes; i += value_bytes) memcpy(t + i, &value, value_bytes);
  };
  bool pageable = (!to_device && !is_pinned(to, bytes)) || (!from_device && !value_bytes && !is_pinned(from, bytes));
  put(s, std::move(work));
  if (!asynchronous) run_with_null(here());
  else if (pageable) run(s);
  return here()->broken;
}

} // namespace

void* fake::device(const void* address, size_t bytes, const char* who) {
  GUARD;
  if (!is_device(address)) {
    break_context(ILLEGAL_ADDRESS, "%s: %p is an address of the host, one of the device is needed", who, address);
    return nullptr;
  }
  if (!inside(allocations, host(address), bytes)) {
    break_context(ILLEGAL_ADDRESS, "%s: the %zu bytes at device address %#llx are not inside of one allocation", who, bytes,
                  (unsigned long long)host(address));
    return nullptr;
  }
  return (void*)host(address);
}

bool fake::written(const void* at, size_t elements, size_t element_bytes, const char* who) {
  static const unsigned char fresh[8] = {255, 255, 255, 255, 255, 255, 255, 255};
  for (size_t i = 0; i < elements; i++)
    if (!memcmp((const char*)at + i * element_bytes, fresh, element_bytes)) {
      break_context(LAUNCH_FAILED, "%s reads device memory that nobody wrote", who);
      return false;
    }
  return true;
}

// ------------------------------------------------------------------------------------------------------------- kernels

namespace {

// What a kernel takes is read off its own type: device pointers are checked and translated, the rest is copied.
template <class T> T argument(void* p, const char* who, bool& good) {
  if constexpr (std::is_pointer_v<T>) {
    void* address = *(void**)p;
    if (!address) return nullptr;
    address = fake::device(address, 1, who);
    good &= address != nullptr;
    return (T)address;
  } else {
    return *(T*)p;
  }
}
struct Kernel {
  // Takes the arguments as they are now; what it returns is one thread's run. Empty after an argument that is no device address.
  std::function<Work(void** parameters, const char* who)> bind;
};
template <class... A, size_t... I> Kernel kernel(void (*f)(A...), std::index_sequence<I...>) {
  if (!f) return {};
  return {[f](void** p, const char* who) -> Work {
    bool good = true;
    std::tuple<std::remove_cv_t<A>...> values{argument<std::remove_cv_t<A>>(p[I], who, good)...};
    if (!good) return nullptr;
    return [f, values] { std::apply(f, values); };
  }};
}
template <class... A> Kernel kernel(void (*f)(A...)) { return kernel(f, std::index_sequence_for<A...>()); }

const std::map<std::string, Kernel>& kernels() {
#define ENTRY(name) {#name, kernel(name)},
  static const std::map<std::string, Kernel> all = {QUERN_KERNELS(ENTRY)};
  return all;
}

struct Module { Context* context; std::string image; std::set<struct Function*> functions; };
struct Function { Context* context; std::string name; const Kernel* kernel; size_t shared = SHARED_DEFAULT; };
std::set<Module*> modules;
std::set<Function*> functions;

const char STAND_IN[] = "QUERN FAKE";

bool has(const std::string& image, const std::string& name) { // as a name of its own in the table of an ELF file
  if (image.rfind(STAND_IN, 0) == 0) return true;
  std::string end = name + '\0';
  for (size_t at = image.find(end); at != std::string::npos; at = image.find(end, at + 1))
    if (at > 0 && (image[at - 1] == '.' || image[at - 1] == '\0')) return true;
  return false;
}

int load(Module** module, const void* image) {
  const char* bytes = (const char*)image;
  if (!strncmp(bytes, STAND_IN, strlen(STAND_IN))) {
    const char* setting = bytes + strlen(STAND_IN);
    if (*setting == ' ') {  // and ends with a zero; the stand-in itself does not, and whatever lies behind it
      std::string text(setting + 1);
      size_t equals = text.find('=');
      while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
      if (equals != std::string::npos) settings().set(text.substr(0, equals), text.substr(equals + 1));
    }
    *module = new Module{here(), STAND_IN, {}};
  } else {
    uint32_t magic;
    uint16_t header;
    uint64_t size;
    memcpy(&magic, bytes, 4);
    if (magic != 0xBA55ED50u) return INVALID_IMAGE; // a fat binary's
    memcpy(&header, bytes + 6, 2);
    memcpy(&size, bytes + 8, 8);
    *module = new Module{here(), std::string(bytes, header + size), {}};
  }
  modules.insert(*module);
  return OK;
}

const std::map<int, const char*>& error_names() {
  static const std::map<int, const char*> names = {
      {0, "CUDA_SUCCESS"}, {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
      {100, "CUDA_ERROR_NO_DEVICE"}, {101, "CUDA_ERROR_INVALID_DEVICE"}, {200, "CUDA_ERROR_INVALID_IMAGE"},
      {201, "CUDA_ERROR_INVALID_CONTEXT"}, {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"}, {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
      {400, "CUDA_ERROR_INVALID_HANDLE"}, {500, "CUDA_ERROR_NOT_FOUND"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}, {719, "CUDA_ERROR_LAUNCH_FAILED"}, {999, "CUDA_ERROR_UNKNOWN"}};
  return names;
}

} // namespace

// ----------------------------------------------------------------------------------------------------------- the driver

struct CUDA_MEMCPY2D {
  size_t src_x, src_y;
  int src_type;
  const void *src_host, *src_device, *src_array;
  size_t src_pitch, dst_x, dst_y;
  int dst_type;
  void *dst_host, *dst_device, *dst_array;
  size_t dst_pitch, width, height;
};

extern "C" {

int cuInit(unsigned flags) {
  ENTER;
  if (flags) return INVALID_VALUE;
  initialized = true;
  return OK;
}
int cuDriverGetVersion(int* version) { ENTER; *version = 13000; return OK; }
int cuGetErrorName(int error, const char** name) {
  auto it = error_names().find(error);
  *name = it == error_names().end() ? nullptr : it->second;
  return *name ? OK : INVALID_VALUE;
}
int cuGetErrorString(int error, const char** text) { return cuGetErrorName(error, text); }

int cuDeviceGetCount(int* n) { ENTER_DRIVER; *n = settings().devices; return OK; }
int cuDeviceGet(int* device, int i) {
  ENTER_DRIVER;
  if (i < 0 || i >= settings().devices) return INVALID_DEVICE;
  *device = i;
  return OK;
}
int cuDeviceGetName(char* name, int n, int) { ENTER_DRIVER; snprintf(name, n, "Fake GPU (kernels run on the CPU)"); return OK; }
int cuDeviceGetUuid(char* uuid, int device) {
  ENTER_DRIVER;
  memset(uuid, 0, 16);
  memcpy(uuid, "fake", 4);
  uuid[15] = (char)device;
  return OK;
}
int cuDeviceGetUuid_v2(char* uuid, int device) { return cuDeviceGetUuid(uuid, device); }
int cuDeviceGetPCIBusId(char* id, int n, int device) { ENTER_DRIVER; snprintf(id, n, "0000:%02X:00.0", device + 1); return OK; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { ENTER_DRIVER; *bytes = settings().memory; return OK; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  ENTER_DRIVER;
  if (device < 0 || device >= settings().devices) return INVALID_DEVICE;
  static const std::map<int, int> values = { // an H100's, by number of CUdevice_attribute
      {1, 1024} /* threads a block */, {2, 1024}, {3, 1024}, {4, 64} /* block x, y, z */, {5, 2147483647}, {6, 65535}, {7, 65535},
      {8, (int)SHARED_DEFAULT}, {10, 32} /* warp */, {12, 65536} /* registers */, {13, 1755000} /* kHz */, {16, 132} /* SMs */,
      {18, 0}, {19, 1}, {20, 0} /* compute mode */, {31, 1}, {32, 1} /* ECC */, {34, 0}, {36, 2619000}, {37, 5120} /* memory: kHz, bits */,
      {38, 50 << 20} /* L2 */, {39, 2048}, {40, 3} /* copy engines */, {41, 1}, {50, 0}, {75, 9}, {76, 0} /* 9.0 */,
      {81, 228 << 10}, {87, 2}, {97, (int)SHARED_MOST}, {115, 1}};
  if (attribute == 33) { *value = device + 1; return OK; } // PCI bus
  auto it = values.find(attribute);
  if (it == values.end()) return INVALID_VALUE;
  *value = it->second;
  return OK;
}

int cuDevicePrimaryCtxRetain(Context** context, int device) {
  ENTER_DRIVER;
  if (device < 0 || device >= settings().devices) return INVALID_DEVICE;
  if (retained[device]++ == 0) contexts.insert(primaries[device] = new Context{device});
  *context = primaries[device];
  return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) { // also of a broken one: a process may go on with a new one
  GUARD;
  if (retained[device] == 0) return INVALID_CONTEXT;
  if (--retained[device] == 0) {
    run_all();
    contexts.erase(primaries[device]);
    for (Context*& c : current)
      if (c == primaries[device]) c = nullptr;
  }
  return OK;
}
int cuCtxCreate_v2(Context** context, unsigned, int device) {
  ENTER_DRIVER;
  if (device < 0 || device >= settings().devices) return INVALID_DEVICE;
  contexts.insert(*context = new Context{device});
  current.push_back(*context);
  return OK;
}
int cuCtxDestroy_v2(Context* context) {
  GUARD;
  if (!contexts.erase(context)) return INVALID_CONTEXT;
  run_all();
  if (here() == context) current.pop_back();
  return OK;
}
int cuCtxSetCurrent(Context* context) {
  GUARD;
  if (int status = fake::injected(__func__)) return status;
  if (context && !contexts.count(context)) return INVALID_CONTEXT;
  if (!current.empty()) current.pop_back();
  if (context) current.push_back(context);
  return OK;
}
int cuCtxGetCurrent(Context** context) { GUARD; *context = here(); return OK; }
int cuCtxPushCurrent_v2(Context* context) {
  ENTER_DRIVER;
  if (!contexts.count(context)) return INVALID_CONTEXT;
  current.push_back(context);
  return OK;
}
int cuCtxPopCurrent_v2(Context** context) {
  GUARD;
  if (!here()) return INVALID_CONTEXT;
  *context = here();
  current.pop_back();
  return OK;
}
int cuCtxGetDevice(int* device) { ENTER_CONTEXT; *device = here()->device; return OK; }
int cuCtxSynchronize() { ENTER_CONTEXT; run_all(); return here()->broken; }

int cuStreamCreate(Stream** stream, unsigned flags) {
  ENTER_CONTEXT;
  if (flags > 1) return INVALID_VALUE;
  streams.insert(*stream = new Stream{here(), flags == 0, {}});
  return OK;
}
int cuStreamCreateWithPriority(Stream** stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
int cuStreamDestroy_v2(Stream* stream) {
  ENTER_CONTEXT;
  if (!stream || !stream_of(stream)) return INVALID_HANDLE;
  run(stream);
  streams.erase(stream);
  for (Event* e : events)
    if (e->stream == stream) e->stream = nullptr;
  delete stream;
  return OK;
}
int cuStreamSynchronize(void* stream) {
  ENTER_CONTEXT;
  Stream* s = stream_of(stream);
  if (!s) return INVALID_HANDLE;
  if (s == null_stream()) run_with_null(here());
  else run(s);
  return here()->broken;
}
int cuStreamQuery(void* stream) { return cuStreamSynchronize(stream); } // asking long enough is waiting
int cuStreamWaitEvent(void* stream, Event* event, unsigned) {
  ENTER_CONTEXT;
  Stream* s = stream_of(stream);
  if (!s || !events.count(event)) return INVALID_HANDLE;
  if (Stream* other = event->stream) {
    uint64_t after = event->after;
    put(s, [other, after] {
      if (streams.count(other) || other == &null_streams[other->context]) run(other, after);
    });
  }
  return OK;
}
int cuEventCreate(Event** event, unsigned) { ENTER_CONTEXT; events.insert(*event = new Event{here()}); return OK; }
int cuEventDestroy_v2(Event* event) {
  ENTER_CONTEXT;
  if (!events.count(event)) return INVALID_HANDLE;
  if (event->stream) run(event->stream, event->after);
  events.erase(event);
  delete event;
  return OK;
}
int cuEventRecord(Event* event, void* stream) {
  ENTER_CONTEXT;
  Stream* s = stream_of(stream);
  if (!s || !events.count(event)) return INVALID_HANDLE;
  put(s, [event] { if (events.count(event)) event->at = Clock::now(); });
  event->stream = s;
  event->after = s->queued;
  return OK;
}
int cuEventSynchronize(Event* event) {
  ENTER_CONTEXT;
  if (!events.count(event)) return INVALID_HANDLE;
  if (event->stream) run(event->stream, event->after);
  return here()->broken;
}
int cuEventQuery(Event* event) { return cuEventSynchronize(event); }
int cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
  ENTER_CONTEXT;
  if (!events.count(from) || !events.count(to)) return INVALID_HANDLE;
  for (Event* e : {from, to})
    if (e->stream) run(e->stream, e->after);
  *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
  return here()->broken;
}

int cuMemGetInfo_v2(size_t* available, size_t* total) {
  ENTER_CONTEXT;
  *total = settings().memory;
  *available = *total - std::min(*total, used[here()->device]);
  return OK;
}
int cuMemAlloc_v2(void** address, size_t bytes) {
  ENTER_CONTEXT;
  if (bytes == 0) return INVALID_VALUE;
  if (bytes > settings().memory || used[here()->device] + bytes > settings().memory) return OUT_OF_MEMORY;
  void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return OUT_OF_MEMORY;
  memset(memory, 0xff, bytes);
  allocations[(uint64_t)memory] = {bytes, here()->device};
  used[here()->device] += bytes;
  *address = (void*)((uint64_t)memory | DEVICE_BIT);
  return OK;
}
int cuMemFree_v2(void* address) {
  ENTER_CONTEXT;
  auto it = allocations.find(host(address));
  if (!is_device(address) || it == allocations.end()) return INVALID_VALUE;
  run_all(); // the driver waits for what may still use it
  memset((void*)it->first, 0xff, it->second.bytes);
  used[it->second.device] -= it->second.bytes;
  free((void*)it->first);
  allocations.erase(it);
  return OK;
}
int cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  ENTER_CONTEXT;
  if (bytes == 0) return INVALID_VALUE;
  *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!*address) return OUT_OF_MEMORY;
  memset(*address, 0xff, bytes);
  pinned[(uint64_t)*address] = bytes;
  return OK;
}
int cuMemAllocHost_v2(void** address, size_t bytes) { return cuMemHostAlloc(address, bytes, 0); }
int cuMemFreeHost(void* address) {
  ENTER_CONTEXT;
  run_all();
  if (!pinned.erase((uint64_t)address)) return INVALID_VALUE;
  free(address);
  return OK;
}
int cuMemHostRegister_v2(void* address, size_t bytes, unsigned) {
  ENTER_CONTEXT;
  if (!address || !bytes || is_device(address)) return INVALID_VALUE;
  return pinned.emplace((uint64_t)address, bytes).second ? OK : 712; // already registered
}
int cuMemHostUnregister(void* address) {
  ENTER_CONTEXT;
  run_all();
  return pinned.erase((uint64_t)address) ? OK : 713; // not registered
}

int cuMemcpyHtoD_v2(void* to, const void* from, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, from, n, true, false); }
int cuMemcpyDtoH_v2(void* to, const void* from, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, from, n, false, true); }
int cuMemcpyDtoD_v2(void* to, const void* from, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, from, n, true, true); }
int cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, from, n, true, false); }
int cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, from, n, false, true); }
int cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, from, n, true, true); }

static int copy2d(const CUDA_MEMCPY2D* c, void* stream, bool asynchronous) {
  bool from_device = c->src_type == 2, to_device = c->dst_type == 2;
  if ((!from_device && c->src_type != 1) || (!to_device && c->dst_type != 1)) return INVALID_VALUE;
  if (c->width + c->src_x > c->src_pitch || c->width + c->dst_x > c->dst_pitch) return INVALID_VALUE;
  const char* from = (const char*)(from_device ? c->src_device : c->src_host);
  char* to = (char*)(to_device ? c->dst_device : c->dst_host);
  for (size_t row = 0; row < c->height; row++) {
    int status = copy(stream, asynchronous, to + (c->dst_y + row) * c->dst_pitch + c->dst_x,
                      from + (c->src_y + row) * c->src_pitch + c->src_x, c->width, to_device, from_device);
    if (status) return status;
  }
  return OK;
}
int cuMemcpy2D_v2(const CUDA_MEMCPY2D* c) { ENTER_CONTEXT; return copy2d(c, nullptr, false); }
int cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* c, void* stream) { ENTER_CONTEXT; return copy2d(c, stream, true); }

int cuMemsetD8_v2(void* to, unsigned char v, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, nullptr, n, true, false, 1, v); }
int cuMemsetD16_v2(void* to, unsigned short v, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, nullptr, n * 2, true, false, 2, v); }
int cuMemsetD32_v2(void* to, unsigned v, size_t n) { ENTER_CONTEXT; return copy(nullptr, false, to, nullptr, n * 4, true, false, 4, v); }
int cuMemsetD8Async(void* to, unsigned char v, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, nullptr, n, true, false, 1, v); }
int cuMemsetD16Async(void* to, unsigned short v, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, nullptr, n * 2, true, false, 2, v); }
int cuMemsetD32Async(void* to, unsigned v, size_t n, void* s) { ENTER_CONTEXT; return copy(s, true, to, nullptr, n * 4, true, false, 4, v); }

int cuModuleLoadData(Module** module, const void* image) { ENTER_CONTEXT; return load(module, image); }
int cuModuleLoadDataEx(Module** module, const void* image, unsigned, int*, void**) { ENTER_CONTEXT; return load(module, image); }
int cuModuleUnload(Module* module) {
  ENTER_CONTEXT;
  if (!modules.erase(module)) return INVALID_HANDLE;
  run_all();
  for (Function* f : module->functions) {
    functions.erase(f);
    delete f;
  }
  delete module;
  return OK;
}
int cuModuleGetFunction(Function** function, Module* module, const char* name) {
  ENTER_CONTEXT;
  if (!modules.count(module) || module->context != here()) return INVALID_HANDLE;
  auto it = kernels().find(name);
  if (it == kernels().end() || !it->second.bind || !has(module->image, name)) return NOT_FOUND;
  *function = new Function{here(), name, &it->second};
  module->functions.insert(*function);
  functions.insert(*function);
  return OK;
}
int cuFuncSetAttribute(Function* function, int attribute, int value) {
  ENTER_CONTEXT;
  if (!functions.count(function)) return INVALID_HANDLE;
  if (attribute != 8 || value < 0 || (size_t)value > SHARED_MOST) return INVALID_VALUE; // MAX_DYNAMIC_SHARED_SIZE_BYTES
  function->shared = value;
  return OK;
}
int cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void* stream, void** parameters, void** extra) {
  ENTER_CONTEXT;
  Stream* s = stream_of(stream);
  if (!s || !functions.count(function) || function->context != here()) return INVALID_HANDLE;
  if (!gx || !gy || !gz || gx > 2147483647u || gy > 65535 || gz > 65535) return INVALID_VALUE;
  if (!bx || !by || !bz || bx > 1024 || by > 1024 || bz > 64 || (uint64_t)bx * by * bz > 1024) return INVALID_VALUE;
  if (shared > function->shared || extra || !parameters) return INVALID_VALUE;
  Work thread = function->kernel->bind(parameters, function->name.c_str());
  if (!thread) return OK; // as on a GPU, what is wrong with an address shows later
  put(s, [=] {
    cuda_on_host::launch(dim3(gx, gy, gz), dim3(bx, by, bz), shared, cuda_on_host::Order::forward, 0, thread);
  });
  return OK;
}

} // extern "C"

// make_fatbin OUT IN.cu INCLUDED...: one fat binary from one source and the files that it includes, without nvcc and without a GPU:
// machine code for each of the architectures below, and PTX for those to come. Prints what each kernel takes of a multiprocessor;
// none may spill.
//
// NVRTC and nvFatbin of CUDA 12.9: their output loads on drivers of CUDA 12 and of CUDA 13.
#include <nvFatbin.h>
#include <nvrtc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

static void check(nvrtcResult status, const char* call) {
  if (status == NVRTC_SUCCESS) return;
  fprintf(stderr, "%s: %s\n", call, nvrtcGetErrorString(status));
  exit(1);
}
static void check(nvFatbinResult status, const char* call) {
  if (status == NVFATBIN_SUCCESS) return;
  fprintf(stderr, "%s: %s\n", call, nvFatbinGetErrorString(status));
  exit(1);
}

struct Target {
  const char *option, *architecture;
  bool ptx;
};

static std::string text(const char* file) {
  std::stringstream all;
  all << std::ifstream(file).rdbuf();
  return all.str();
}

// No kernel may keep registers in memory. What ptxas says of each is taken in the words of CUDA 12.9; others would find none at all.
static void check_stacks(const std::string& log, const char* option) {
  const std::regex properties("Function properties for (\\w+)\\s+ptxas\\s+\\.\\s+(\\d+) bytes stack frame");
  size_t kernels = 0;
  for (std::sregex_iterator kernel(log.begin(), log.end(), properties), end; kernel != end; ++kernel, kernels++) {
    if (kernel->str(2) == "0") continue;
    fprintf(stderr, "%s: %s has a stack frame: more registers are wanted than its launch bounds allow\n", option, kernel->str(1).c_str());
    std::_Exit(1);  // others are still compiling
  }
  if (kernels > 0) return;
  fprintf(stderr, "%s: the compiler's report says of no kernel whether it has a stack frame\n", option);
  std::_Exit(1);
}

// Files by their names alone: what is compiled does not say where it was.
static std::vector<char> compile(const std::string& source, const Target& target, const std::vector<std::string>& texts,
                                 const std::vector<std::string>& names) {
  std::vector<const char*> headers, includes;
  for (const std::string& t : texts) headers.push_back(t.c_str());
  for (const std::string& n : names) includes.push_back(n.c_str());
  nvrtcProgram program;
  check(nvrtcCreateProgram(&program, source.c_str(), "kernels.cu", (int)headers.size(), headers.data(), includes.data()),
        "nvrtcCreateProgram");
  // Every operation is IEEE's: divisions and square roots rounded correctly, subnormals kept, nothing contracted that the source
  // doesn't say.
  std::vector<std::string> options = {target.option, "-std=c++17", "-prec-div=true", "-prec-sqrt=true", "-ftz=false", "-fmad=false"};
  if (!target.ptx) options.push_back("--ptxas-options=-v");
  std::vector<const char*> given;
  for (const std::string& option : options) given.push_back(option.c_str());
  nvrtcResult status = nvrtcCompileProgram(program, (int)given.size(), given.data());
  size_t size;
  check(nvrtcGetProgramLogSize(program, &size), "nvrtcGetProgramLogSize");
  std::string log(size, 0);
  check(nvrtcGetProgramLog(program, &log[0]), "nvrtcGetProgramLog");
  fprintf(status == NVRTC_SUCCESS ? stdout : stderr, "%s\n", log.c_str());
  check(status, target.option);
  if (!target.ptx) check_stacks(log, target.option);
  check(target.ptx ? nvrtcGetPTXSize(program, &size) : nvrtcGetCUBINSize(program, &size), "size of the code");
  std::vector<char> code(size);
  check(target.ptx ? nvrtcGetPTX(program, code.data()) : nvrtcGetCUBIN(program, code.data()), "the code");
  check(nvrtcDestroyProgram(&program), "nvrtcDestroyProgram");
  return code;
}

int main(int count, char** arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: make_fatbin OUT IN.cu INCLUDED...\n");
    return 2;
  }
  std::vector<std::string> texts, names;
  for (int i = 3; i < count; i++) {
    texts.push_back(text(arguments[i]));
    const char* slash = strrchr(arguments[i], '/');
    names.push_back(slash ? slash + 1 : arguments[i]);
  }

  const Target targets[] = {{"-arch=sm_80", "80", false}, {"-arch=sm_90", "90", false}, {"-arch=sm_100", "100", false},
                            {"-arch=compute_80", "80", true}};
  std::string source = text(arguments[2]);
  std::vector<std::future<std::vector<char>>> codes; // side by side
  for (const Target& t : targets) codes.push_back(std::async(std::launch::async, [&] { return compile(source, t, texts, names); }));

  nvFatbinHandle fat;
  check(nvFatbinCreate(&fat, nullptr, 0), "nvFatbinCreate");
  for (size_t i = 0; i < codes.size(); i++) {
    const Target& t = targets[i];
    std::vector<char> code = codes[i].get();
    check(t.ptx ? nvFatbinAddPTX(fat, code.data(), code.size(), t.architecture, "kernels.cu", nullptr)
                : nvFatbinAddCubin(fat, code.data(), code.size(), t.architecture, "kernels.cu"), "nvFatbinAdd");
    printf("%s: %zu bytes\n", t.option, code.size());
  }
  size_t size;
  check(nvFatbinSize(fat, &size), "nvFatbinSize");
  std::vector<char> image(size);
  check(nvFatbinGet(fat, image.data()), "nvFatbinGet");
  std::ofstream(arguments[1], std::ios::binary).write(image.data(), (std::streamsize)size);
  printf("%s: %zu bytes\n", arguments[1], size);
}

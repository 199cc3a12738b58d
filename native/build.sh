#!/bin/sh
# build.sh build: the C layer and, where a CUDA compiler is, the kernels, into target/classes/quern/native
# build.sh fakes: what plays a GPU in tests
# build.sh test:  that too, and what is tested on it and on the emulator
#
# How things are built stands in CMakeLists.txt alone. Here stands what happens where they cannot be: native.properties says
# "absent", one line says why, and the rest of Quern does without.
#
#   QUERN_CUDA=DIR         the CUDA compiler that cuda-compiler.sh installed in DIR; or CUDA_HOME=DIR, a toolkit with nvcc
#   QUERN_ZIG=FILE         the zig that compiles the C layer for glibc 2.17, for releases
#   QUERN_NATIVE=require   what cannot be built is a failure
set -eu
cd "$(dirname "$0")"
out=$PWD/target/classes/quern/native
lacking=
[ "$(uname -sm)" = "Linux x86_64" ] || lacking="the cuda device is for Linux on x86_64"
for program in cmake c++ make; do
  [ -n "$lacking" ] || command -v $program >/dev/null || lacking="there is no $program"
done

if [ -n "$lacking" ]; then
  if [ "${QUERN_NATIVE:-}" = require ]; then
    echo "Cannot build native code: $lacking (install cmake, g++ and make; or do without QUERN_NATIVE=require)" >&2
    exit 1
  fi
  if [ "$1" = build ]; then
    echo "native: nothing built, for $lacking; the cuda device will say so"
    rm -rf "$out"
    mkdir -p "$out"
    printf 'layer=absent\nkernels=absent\n' >"$out/native.properties"
  fi
  exit
fi

# Maven says which; by hand it is the one on the path.
: "${JAVA_HOME:=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}"
export JAVA_HOME
jobs=$(getconf _NPROCESSORS_ONLN)
case $1 in
build)
  mkdir -p target
  cmake -S . -B target/cmake -DOUT="$out" -DQUERN_CUDA="${QUERN_CUDA:-}" -DQUERN_ZIG="${QUERN_ZIG:-}" \
    -DREQUIRE="${QUERN_NATIVE:-}" >target/cmake.log 2>&1 || { cat target/cmake.log >&2; exit 1; }
  cmake --build target/cmake --target jar -j "$jobs" >target/build.log 2>&1 || { cat target/build.log >&2; exit 1; }
  grep -h '^-- native:' target/cmake.log | cut -c4-
  ;;
fakes)
  cmake --build target/cmake --target fakes -j "$jobs" >target/test.log 2>&1 || { cat target/test.log >&2; exit 1; }
  ;;
test)
  cmake --build target/cmake --target check -j "$jobs" >target/test.log 2>&1 || { cat target/test.log >&2; exit 1; }
  ;;
*)
  echo "usage: $0 build|fakes|test" >&2
  exit 2
  ;;
esac

#!/bin/bash
# Builds the kernels and their tests for the host and runs them under ASan and UBSan: run.sh [arguments of GoogleTest].
# CMake does the same: each native/src/main/cuda/*.cu but kernels.cu as one C++ object (LANGUAGE CXX), each *_test.cc of this folder as
# another, all with the flags below, linked with gtest, gtest_main and pthread. QUERN_SEED gives other random numbers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kernels=${KERNELS:-$here/../../main/cuda}
out=${OUT:-$here/../../../target/emulator}
flags="-std=c++17 -O1 -g1 -ffp-contract=off -fno-sanitize-recover=all -fsanitize=address,undefined -Wall -Wextra -Wno-unknown-pragmas -I$here -I$kernels"
mkdir -p "$out"
build() {  # source, object: only if something changed
  local newest
  newest=$(ls -t "$1" "$here"/*.h "$kernels"/*.h "$kernels"/*.cuh | head -1)
  [ -e "$2" ] && [ "$2" -nt "$newest" ] || g++ $flags -x c++ -c "$1" -o "$2"
}
objects=()
for source in "$kernels"/*.cu "$here"/*_test.cc; do
  [ "$(basename "$source")" = kernels.cu ] && continue
  object=$out/$(basename "$source").o
  build "$source" "$object"
  objects+=("$object")
done
g++ -fsanitize=address,undefined "${objects[@]}" -o "$out/kernels_test" -lgtest -lgtest_main -lpthread
exec "$out/kernels_test" "$@"

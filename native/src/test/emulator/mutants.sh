#!/bin/bash
# Plants the bugs of mutants.tsv in copies of the kernels, one at a time, and expects the tests to fail: it tests the tests. Run it when kernels
# or tests change, after run.sh, whose objects it uses. mutants.sh [expression]: only lines that match.
set -u
here=$(cd "$(dirname "$0")" && pwd)
kernels=$here/../../main/cuda
out=${OUT:-$here/../../../target/emulator}
export QUERN_SEED=1 ASAN_OPTIONS=detect_leaks=0 here kernels out
[ -x "$out/kernels_test" ] || { echo "Cannot plant bugs: there is no $out/kernels_test (run.sh builds it)"; exit 2; }

plant() {  # one line of the table
  local name file sources tests from to work text
  IFS=$'\x1f' read -r name file sources tests from to <<< "${1//$'\t'/$'\x1f'}"
  from=${from//\\n/$'\n'} to=${to//\\n/$'\n'}
  text=$(<"$kernels/$file")
  [[ $text == *"$from"* ]] || { echo "$name: NO LONGER APPLIES"; return 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' RETURN
  cp "$kernels"/*.cu "$kernels"/*.cuh "$kernels"/*.h "$work"
  printf '%s\n' "${text/"$from"/"$to"}" > "$work/$file"
  local objects=() source
  for object in "$out"/*.o; do
    source=$(basename "$object" .o)
    if [[ " $sources " == *" $source "* ]]; then
      g++ -std=c++17 -O0 -ffp-contract=off -fno-sanitize-recover=all -fsanitize=address,undefined -w -I"$here" -I"$work" -x c++ \
        -c "$work/$source" -o "$work/$source.o" || { echo "$name: DOES NOT COMPILE"; return 1; }
      object=$work/$source.o
    fi
    objects+=("$object")
  done
  g++ -fsanitize=address,undefined "${objects[@]}" -o "$work/test" -lgtest -lgtest_main -lpthread || return 1
  local status=0
  { timeout 100 "$work/test" --gtest_break_on_failure --gtest_filter="$tests" > "$work/out" 2>&1 || status=$?; } 2> /dev/null
  if [ $status = 0 ]; then
    echo "$name: SURVIVED"
    return 1
  fi
  echo "$name: caught"
}
export -f plant
grep -v '^#' "$here/mutants.tsv" | grep -E -- "${1:-.}" | tr '\n' '\0' | xargs -0 -n 1 -P 2 bash -c 'plant "$1" || exit 1' plant

#!/usr/bin/env bash
# Quern's forward pass against PyTorch's, both bf16 on the CPU: one layer of a Llama of hidden size 2048, the same weights and number of
# tokens, in turns.
#
#   forward.sh [-r TURNS] [-s SEQUENCES] [-l LENGTH]
#
# Needs GPTQM_PY, a python with torch and transformers. With two threads Quern runs two tasks of SEQUENCES each, as its executors do, and
# PyTorch one batch of twice as many. Prints the median seconds of each, and the median and spread over turns of Quern's over PyTorch's.
set -euo pipefail
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$bench/../../../.." && pwd)
: "${GPTQM_PY:?the python of an environment with torch and transformers}"
turns=3 sequences=4 length=512
while getopts r:s:l: option; do case $option in
  r) turns=$OPTARG ;; s) sequences=$OPTARG ;; l) length=$OPTARG ;; *) exit 2 ;;
  esac; done
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$root/quern" --version >/dev/null # builds what is stale
(cd "$root" && ./mvnw -q -B -o -pl executor-gpu -am test-compile)
classpath=$root/executor-gpu/target/test-classes:$root/driver/target/quern.jar:$(cat "$root"/driver/target/spark-classpath.txt)
classpath=$classpath:$(cat "$root"/driver/target/spark-classpath-runtime.txt)
"$GPTQM_PY" "$bench/forward.py" make "$out/model" 2>"$out/make.log" || { cat "$out/make.log" >&2; exit 1; }

# The first rounds warm up: the last three count.
middle() { tail -3 | sort -n | sed -n 2p; }

for threads in 1 2; do
  ratios=()
  for _ in $(seq "$turns"); do
    ours=$(java -cp "$classpath" quern.bench.ForwardBench "$out/model" "$threads" "$sequences" "$length" 2>"$out/ours.log" | middle)
    theirs=$("$GPTQM_PY" "$bench/forward.py" time "$out/model" "$threads" $((threads * sequences)) "$length" 2>"$out/theirs.log" | middle)
    ratios+=("$(echo "$ours $theirs" | awk '{ printf "%.2f", $1 / $2 }')")
  done
  sorted=$(printf '%s\n' "${ratios[@]}" | sort -n)
  echo "$threads threads, $threads x $sequences x $length tokens: Quern $ours s, PyTorch $theirs s in the last turn;" \
    "ratio $(echo "$sorted" | sed -n "$(((turns + 1) / 2))p") ($(echo "$sorted" | head -1) to $(echo "$sorted" | tail -1))"
done

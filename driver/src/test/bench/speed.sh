#!/usr/bin/env bash
# Quern against GPTQModel and llm-compressor on one machine: the wall clock of whole commands, in turns, and their peak memory.
#
#   speed.sh -m MODEL [-n 128] [-l 512] [-b 4] [-g 64] [-r TURNS] [-B BATCH of the peers] [-t TOOLS] [-o OUT]
#
# Same model, same tokens (the hashes are compared) and settings, each tool in its own default order of columns. A turn runs
# each once. Prints a table in Markdown; OUT keeps checkpoints, logs and runs.jsonl, to which a later call adds turns. A run during which other processes took more
# than 5 % of its time is counted and named below the table: run it again on a quiet machine.
. "$(dirname "$0")/common.sh"
model= n=128 len=512 bits=4 group=64 turns=3 batch=1 tools="quern quern-exact llmcompressor gptqmodel" out=
while getopts m:n:l:b:g:r:B:t:o: option; do case $option in
  m) model=$OPTARG ;; n) n=$OPTARG ;; l) len=$OPTARG ;; b) bits=$OPTARG ;; g) group=$OPTARG ;; r) turns=$OPTARG ;;
  B) batch=$OPTARG ;; t) tools=$OPTARG ;; o) out=$OPTARG ;; *) exit 2 ;;
  esac; done
model=$(cd "${model:?-m MODEL}" && pwd)
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
text=$shared/data/text/wikipedia.sample.txt
build

ours() { # NAME OPTIONS...
  local name=$1 at=$out/$turn-$1
  shift
  rm -rf "$at"
  # The peers' settings of OpenMP are not ours.
  timed "$at" env -u OMP_NUM_THREADS -u MKL_NUM_THREADS "$root/quern" quantize "$model" --out "$at" --bits "$bits" \
    --group-size "$group" --calibration "$text" --samples "$n" --seqlen "$len" "$@"
  tables run "$at" "turn=$turn" "tool=$name" "tokens=$(tables tokens "$at/report.json")" >>"$out/runs.jsonl"
}

peer() { # NAME TOOL ORDER
  local at=$out/$turn-$1 before
  rm -rf "$at"
  before=$(busy)
  "$shared/bench/time_peers.sh" -m "$model" -n "$n" -l "$len" -b "$bits" -g "$group" -o "$at" -t "$2" \
    -a "--batch $batch --actorder $3 --text $text" >"$at.log" 2>&1
  echo "$before $(busy)" | awk '{ print $2 - $1 }' >"$at.busy"
  grep -q FAILED "$at.log" && { cat "$at.log" >&2; exit 1; }
  cp "$at"/*.time "$at.time"
  tables run "$at" "turn=$turn" "tool=$1" "tokens=$(tables tokens "$at/results.jsonl")" >>"$out/runs.jsonl"
}

touch "$out/runs.jsonl"
before=$(sed -n 's/.*"turn": "\([0-9]*\)".*/\1/p' "$out/runs.jsonl" | sort -n | tail -1)
for turn in $(seq $((before + 1)) $((before + turns))); do
  for tool in $tools; do case $tool in
    quern) ours quern ;;
    quern-exact) ours quern-exact --propagation exact ;;
    llmcompressor) peer llmcompressor llmcompressor static ;;
    gptqmodel) peer gptqmodel gptqmodel gar ;;
    *) echo "$0: no such tool: $tool" >&2; exit 2 ;;
  esac; done
done

echo "$(basename "$model"), W$bits g$group, $n x $len tokens, batch $batch of the peers; $turn turns; $(machine)"
echo
tables speed "$out/runs.jsonl"

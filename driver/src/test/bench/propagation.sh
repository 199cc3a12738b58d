#!/usr/bin/env bash
# What stages side by side cost in quality, and what they save in time: exact propagation against 2, 3, 5, 10 and 30 stages.
#
#   propagation.sh -m MODEL [-n 32] [-l 512] [-g 64] [-w "4 3"] [-s "1 2 3 5 10 30"] [-M MASTERS] [-r TURNS] [-o OUT]
#
# MASTERS, "local-cluster[1,1,2048] local-cluster[2,1,2048]" unless given: 1 and 2 executors of a core each, processes of their own.
# All must write the same bytes; KL is taken over the first 24 windows of wikitext2-raw.test. Prints a table in Markdown. Wall clock
# is of the whole command; runs that other processes disturbed are named below the table.
. "$(dirname "$0")/common.sh"
model= n=32 len=512 group=64 widths="4 3" stages="1 2 3 5 10 30" turns=1
masters="local-cluster[1,1,2048] local-cluster[2,1,2048]" out=
while getopts m:n:l:g:w:s:M:r:o: option; do case $option in
  m) model=$OPTARG ;; n) n=$OPTARG ;; l) len=$OPTARG ;; g) group=$OPTARG ;; w) widths=$OPTARG ;; s) stages=$OPTARG ;;
  M) masters=$OPTARG ;; r) turns=$OPTARG ;; o) out=$OPTARG ;; *) exit 2 ;;
  esac; done
model=$(cd "${model:?-m MODEL}" && pwd)
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build
# Executors of local-cluster look for Spark's jars in a Spark distribution: links to those that Maven resolved.
export SPARK_HOME=$out/spark
mkdir -p "$SPARK_HOME/jars"
for jar in $(paste -s "$root"/driver/target/spark-classpath{,-runtime}.txt | tr ":" "\n"); do ln -sf "$jar" "$SPARK_HOME/jars/"; done

: >"$out/runs.jsonl"
for turn in $(seq "$turns"); do for w in $widths; do for s in $stages; do for master in $masters; do
  kept=$out/w$w-s$s at=$out/again
  [ -e "$kept" ] || at=$kept
  timed "$out/run" env -u OMP_NUM_THREADS -u MKL_NUM_THREADS "$root/quern" --master "$master" quantize "$model" --out "$at" \
    --bits "$w" --group-size "$group" --calibration "$shared/data/text/wikipedia.sample.txt" --samples "$n" --seqlen "$len" \
    --stages "$s"
  tables run "$out/run" "turn=$turn" "master=$master" "bits=$w" "stages=$s" >>"$out/runs.jsonl"
  if [ "$at" != "$kept" ]; then
    cmp "$kept/model.safetensors" "$at/model.safetensors"
    rm -rf "$at"
  fi
done; done; done; done

ppl=()
for w in $widths; do
  checkpoints=()
  for s in $stages; do checkpoints+=("$out/w$w-s$s"); done
  perplexity "$out/w$w.ppl" --fp "$model" --chars "$(windows24 "$model")" "${checkpoints[@]}"
  ppl+=("$out/w$w.ppl")
done
echo "$(basename "$model"), g$group, $n x $len tokens; $turns turns; $(machine)"
echo
tables propagation "$out/runs.jsonl" "${ppl[@]}"

#!/usr/bin/env bash
# Perplexity and KL with weights and activations of 8 bits, with and without smoothquant, beside llm-compressor's. Inputs of linears
# are rounded as its compressed-tensors would: a scale for each token, when the model runs (activations.py).
#
#   activations.sh [-o OUT] [-s SMOLLM2] [-n WINDOWS] [-c CHARACTERS] quern-stories-4m|smollm2 ...
. "$(dirname "$0")/common.sh"
out= smollm2= windows= judged_on=
while getopts o:s:n:c: option; do case $option in
  o) out=$OPTARG ;; s) smollm2=$OPTARG ;; n) windows=$OPTARG ;; c) judged_on=$OPTARG ;; *) exit 2 ;;
  esac; done
shift $((OPTIND - 1))
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build

for name in "$@"; do
  at=$out/$name
  mkdir -p "$at/ours" "$at/theirs"
  settings "$name"
  n=${windows:-$n} chars=${judged_on:-$chars}
  for row in w8a8 w8a8-smooth w8a8+rtn w8a8-smooth+rtn; do
    [ ! -e "$at/ours/$row" ] || continue
    options=()
    [[ $row != *-smooth* ]] || options+=(--transform smoothquant)
    [[ $row != *+rtn ]] || options+=(--method rtn)
    words quantize "$model" --out "$at/ours/$row" --format compressed-tensors-int8 "${options[@]}" \
      --calibration "$calibration" --samples $n --seqlen $len
  done | quern_lines >"$at/quern.log" 2>&1 || { tail -5 "$at/quern.log" >&2; exit 1; }
  for row in w8a8 w8a8-smooth; do echo "$row $at/theirs/$row"; done |
    (cd "$at" && "$LLMC_PY" "$bench/methods_peers.py" "$model" "$calibration" $n $len $group >"$at/llmc.log" 2>&1) ||
    grep -a '^FAILED' "$at/llmc.log" >&2
  rm -rf "$at/dense"
  mkdir -p "$at/dense/ours" "$at/dense/theirs"
  for key in ours/w8a8 ours/w8a8-smooth ours/w8a8+rtn ours/w8a8-smooth+rtn theirs/w8a8 theirs/w8a8-smooth; do
    [ ! -d "$at/$key" ] || echo "$at/$key $at/dense/$key"
  done >"$at/dense.lines"
  "$GPTQM_PY" "$bench/dense.py" "$shared/interop/dequantize.py" "$model" <"$at/dense.lines" >"$at/dense.log" 2>&1 ||
    { tail -5 "$at/dense.log" >&2; exit 1; }
  # shellcheck disable=SC2046 # folders without spaces
  "$GPTQM_PY" "$bench/activations.py" "$model" "$evaluation" "$chars" "$len" $(cut -d' ' -f2 "$at/dense.lines") >"$at/ppl.txt" 2>"$at/ppl.log" ||
    { tail -5 "$at/ppl.log" >&2; exit 1; }
  rm -r "$at/dense"
  echo
  echo "$name, 8 bits and 8, $n x $len tokens; $(machine)"
  echo
  cat "$at/ppl.txt"
done

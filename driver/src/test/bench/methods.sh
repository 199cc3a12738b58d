#!/usr/bin/env bash
# Perplexity and KL of every method and format beside the format's own tool at the same settings, where that runs on a CPU.
#
#   methods.sh [-o OUT] [-s SMOLLM2] [-n WINDOWS] [-c CHARACTERS] [-m ROWS] [-t TURNS] quern-stories-4m|smollm2 ...
#
# TURNS: nothing is judged; each row is a command of its own, so many times, and the seconds of both are told, without the start of
# the JVM and of Python, and with reading the model.
# CHARACTERS: of the text that is judged on, 100,000 unless given. ROWS: names of rows below, all unless given. What lies in OUT already
# is not run again. All are judged as dense float32 copies that are made of the packed bytes by neither tool (dense.py; torchao,
# Quanto, HQQ, AutoRound and libggml unpack their own).
# Groups as in quality.sh, but hqq's, which are 64. GGUF: libggml's quantizers with the means of squares of the inputs, on the types
# that our file has, which are llama.cpp's (GgufQuantizersTest, GgufInteropTest).
. "$(dirname "$0")/common.sh"
out= smollm2= windows= chosen= judged_on= turns=
while getopts o:s:n:m:c:t: option; do case $option in
  o) out=$OPTARG ;; s) smollm2=$OPTARG ;; n) windows=$OPTARG ;; c) judged_on=$OPTARG ;; m) chosen=$OPTARG ;; t) turns=$OPTARG ;; *) exit 2 ;;
  esac; done
shift $((OPTIND - 1))
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build

# A row NAME+METHOD is ours by another method, mostly the tool's own where our default is another, beside the tool's NAME.
# row|whose environment the tool is in, if there is one|alone: later layers must see the quantized ones before them, or the model
# is transformed first; all others share one calibration|our recipe
rows() {
  cat <<R
gptq-4|llmc||bits: 4, group-size: $group
gptq-3|llmc||bits: 3, group-size: $group
gptq-2|llmc|alone|bits: 2, group-size: $group
rtn-4|llmc||bits: 4, group-size: $group, method: rtn, scales: max
rtn-3|llmc||bits: 3, group-size: $group, method: rtn, scales: max
awq-4|llmc|alone|bits: 4, group-size: $group, method: rtn, transform: awq, format: compressed-tensors
awq-4-asym|llmc|alone|bits: 4, group-size: $group, method: rtn, transform: awq, format: awq
awq-3|llmc|alone|bits: 3, group-size: $group, method: rtn, transform: awq, format: compressed-tensors
hqq-4|main||bits: 4, group-size: 64, format: hqq
hqq-3|main||bits: 3, group-size: 64, format: hqq
hqq-2|main||bits: 2, group-size: 64, format: hqq
bnb-nf4|main||format: bitsandbytes-nf4
bnb-nf4-nested|main||format: bitsandbytes-nf4-nested
bnb-fp4|main||format: bitsandbytes-fp4
bnb-int8|main||format: bitsandbytes-int8
ct-int8|llmc||format: compressed-tensors-int8
ct-fp8|llmc||format: compressed-tensors-fp8
fp8|llmc||format: fp8
ct-nvfp4|llmc||format: compressed-tensors-nvfp4
ct-mxfp4|llmc||format: compressed-tensors-mxfp4
torchao-4|main||format: torchao, bits: 4, group-size: $group
torchao-3|main||format: torchao, bits: 3, group-size: $group
torchao-int8|main||format: torchao-int8
torchao-fp8|main||format: torchao-fp8
quanto-int8|main||format: quanto-int8
quanto-fp8|main||format: quanto-fp8
quanto-int4|main||format: quanto-int4
quanto-int2|main|alone|format: quanto-int2
autoround-4|main|alone|method: gptaq, format: autoround, bits: 4, group-size: $group
autoround-3|main|alone|method: gptaq, format: autoround, bits: 3, group-size: $group
autoround-2|main|alone|method: gptaq, format: autoround, bits: 2, group-size: $group
gguf-q8_0|main||format: gguf-q8_0
gguf-q6_k|main||format: gguf-q6_k
gguf-q5_k_m|main||format: gguf-q5_k_m
gguf-q4_k_m|main||format: gguf-q4_k_m
gguf-iq4_xs|main||format: gguf-iq4_xs
gguf-q4_0|main||format: gguf-q4_0
gguf-q3_k_m|main||format: gguf-q3_k_m
gguf-q2_k|main|alone|format: gguf-q2_k
rtn-4+searched|||bits: 4, group-size: $group, method: rtn, scales: saliency
rtn-3+searched|||bits: 3, group-size: $group, method: rtn, scales: saliency
hqq-4+gptq|||bits: 4, group-size: 64, format: hqq, method: gptq
hqq-3+gptq|||bits: 3, group-size: 64, format: hqq, method: gptq
hqq-2+gptq|||bits: 2, group-size: 64, format: hqq, method: gptq
bnb-nf4+gptq|||format: bitsandbytes-nf4, method: gptq
bnb-nf4-nested+gptq|||format: bitsandbytes-nf4-nested, method: gptq
bnb-fp4+gptq|||format: bitsandbytes-fp4, method: gptq
bnb-int8+gptq|||format: bitsandbytes-int8, method: gptq
fp8+gptq|||format: fp8, method: gptq
ct-fp8+gptq|||format: compressed-tensors-fp8, method: gptq
torchao-fp8+gptq|||format: torchao-fp8, method: gptq
quanto-fp8+gptq|||format: quanto-fp8, method: gptq
ct-int8+rtn|||format: compressed-tensors-int8, method: rtn, scales: max
ct-nvfp4+rtn|||format: compressed-tensors-nvfp4, method: rtn, scales: max
ct-mxfp4+rtn|||format: compressed-tensors-mxfp4, method: rtn, scales: max
torchao-4+rtn|||format: torchao, bits: 4, group-size: $group, method: rtn, scales: max
torchao-3+rtn|||format: torchao, bits: 3, group-size: $group, method: rtn, scales: max
torchao-int8+rtn|||format: torchao-int8, method: rtn, scales: max
quanto-int8+rtn|||format: quanto-int8, method: rtn, scales: max
quanto-int4+rtn|||format: quanto-int4, method: rtn, scales: max
quanto-int4+hqq|||format: quanto-int4, method: hqq
quanto-int2+rtn|||format: quanto-int2, method: rtn, scales: max
quanto-int2+hqq|||format: quanto-int2, method: hqq
gguf-q8_0+imatrix|||format: gguf-q8_0, method: imatrix
gguf-q6_k+imatrix|||format: gguf-q6_k, method: imatrix
gguf-q5_k_m+imatrix|||format: gguf-q5_k_m, method: imatrix
gguf-q4_k_m+imatrix|||format: gguf-q4_k_m, method: imatrix
gguf-iq4_xs+imatrix|||format: gguf-iq4_xs, method: imatrix
gguf-q4_0+imatrix|||format: gguf-q4_0, method: imatrix
gguf-q3_k_m+imatrix|||format: gguf-q3_k_m, method: imatrix
gguf-q2_k+imatrix|||format: gguf-q2_k, method: imatrix
R
}

theirs() { # FOLDER: what is asked of the tools in its rows
  local tool python at=$1
  for tool in llmc main; do
    python=$GPTQM_PY
    [ $tool = main ] || python=$LLMC_PY
    awk -F'|' -v t=$tool -v at="$at" '$2 == t { print $1, at "/theirs/" $1, at "/ours/" $1 }' "$at/rows" |
      (cd "$at" && "$python" "$bench/methods_peers.py" "$model" "$calibration" $n $len $group >"$at/$tool.log" 2>&1) ||
      grep -a '^FAILED' "$at/$tool.log" >&2
  done
}

times() { # of the rows of a model, in turns
  local turn at row tool alone recipe
  for turn in $(seq "$turns"); do
    at=$out/$name/turn-$turn
    rm -rf "$at"
    mkdir -p "$at/ours" "$at/theirs"
    while IFS='|' read -r row tool alone recipe; do
      [ -z "$chosen" ] || [[ " $chosen " == *" $row "* ]] || continue
      echo "$row|$tool" >>"$at/rows"
      echo "{$recipe}" >"$at/$row.yaml"
      words quantize "$model" --out "$at/ours/$row" --recipe "$at/$row.yaml" "${text[@]}" >>"$at/commands"
    done < <(rows)
    quern_lines <"$at/commands" >"$at/quern.log" 2>&1 || { tail -5 "$at/quern.log" >&2; exit 1; }
    theirs "$at"
  done
  echo
  echo "$name, $turns turns; $(machine)"
  echo
  tables times "$out/$name"
}

for name in "$@"; do
  at=$out/$name
  mkdir -p "$at/ours" "$at/theirs" "$at/dense"
  settings "$name"
  n=${windows:-$n} chars=${judged_on:-$chars}
  text=(--calibration "$calibration" --samples $n --seqlen $len)
  [ -z "$turns" ] || { times; continue; }
  recipes=()
  : >"$at/commands"
  : >"$at/rows"
  while IFS='|' read -r row tool alone recipe; do
    [ -z "$chosen" ] || [[ " $chosen " == *" $row "* ]] || continue
    echo "$row|$tool" >>"$at/rows"
    echo "{$recipe}" >"$at/$row.yaml"
    [ ! -e "$at/ours/$row" ] || continue
    if [ -n "$alone" ]; then
      words quantize "$model" --out "$at/ours/$row" --recipe "$at/$row.yaml" "${text[@]}" >>"$at/commands"
    else
      recipes+=(--recipe "$at/$row.yaml")
    fi
  done < <(rows)
  together=$at/together
  [ ${#recipes[@]} != 2 ] || together=$at/ours/$(basename "${recipes[1]}" .yaml) # an only one gets no folder of its name
  [ ${#recipes[@]} = 0 ] || words quantize "$model" --out "$together" "${recipes[@]}" "${text[@]}" >>"$at/commands"
  quern_lines <"$at/commands" >>"$at/quern.log" 2>&1 || { tail -5 "$at/quern.log" >&2; exit 1; }
  [ ! -e "$at/together" ] || { mv "$at/together"/* "$at/ours/" && rmdir "$at/together"; }
  theirs "$at"

  # A few at a time, since a dense copy is large.
  touch "$at/ppl.txt"
  for whose in ours theirs; do
    for checkpoint in "$at/$whose"/*; do
      key=$whose/$(basename "$checkpoint")
      [ ! -d "$checkpoint" ] || grep -qF "/dense/$key\"" "$at/ppl.txt" || echo "$key"
    done
  done >"$at/unjudged"
  while mapfile -t -n 6 keys && [ ${#keys[@]} -gt 0 ]; do
    mkdir -p "$at/dense/ours" "$at/dense/theirs"
    for key in "${keys[@]}"; do echo "$at/$key $at/dense/$key"; done |
      "$GPTQM_PY" "$bench/dense.py" "$shared/interop/dequantize.py" "$model" >"$at/dense.log" 2>&1 || { tail -5 "$at/dense.log" >&2; exit 1; }
    perplexity "$at/judged" --fp "$model" --text "$evaluation" --chars "$chars" --window "$len" "${keys[@]/#/$at/dense/}"
    grep '^PPL' "$at/judged" >>"$at/ppl.txt"
    rm -r "$at/dense"
  done <"$at/unjudged"
  echo
  echo "$name, groups of $group, $n x $len tokens; $(machine)"
  echo
  tables methods "$at/ppl.txt" "$at/rows"
done

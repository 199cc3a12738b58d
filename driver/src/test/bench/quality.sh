#!/usr/bin/env bash
# Perplexity and KL of Quern's checkpoints and of the peers', in their defaults and at equal settings, over several draws of
# calibration text.
#
#   quality.sh [-o OUT] [-s SMOLLM2] [-r DRAWS] [-n WINDOWS] [-w WIDTHS] [-c CHARACTERS] quern-stories-4m|babyllama-105|stories260K|smollm2 ...
#
# CHARACTERS: of the text that is judged on, 100,000 unless given.
# -s: the model that shared/data/models/make_smollm2.sh makes. A draw is a stretch of the calibration text of its own, the same
# tokens for every tool. What lies in OUT already is not run again, so draws can be added.
#
# Variants: quern, quern-exact (layers wait for the quantized layers before them; with 2 bits that is the default), quern-rtn.
# Equal settings are scales by the largest weight, damping 0.01 and exact propagation, in the peer's order of columns:
# quern-static is llm-compressor's default, llmcompressor-static; quern-group and quern-off are GPTQModel's, gptqmodel-gar and
# gptqmodel-off, which takes the sites of a layer one after the other. gptqmodel-gar05 is its default, whose damping is 0.05.
# Of whole rows llmcompressor-off is both its default and, beside quern-off, of equal settings. quern-exact, quern-rtn and
# gptqmodel-gar05 are of the first draw alone.
. "$(dirname "$0")/common.sh"
out= smollm2= draws=1 windows= only= judged_on=
while getopts o:s:r:n:w:c: option; do case $option in
  o) out=$OPTARG ;; s) smollm2=$OPTARG ;; r) draws=$OPTARG ;; n) windows=$OPTARG ;; w) only=$OPTARG ;; c) judged_on=$OPTARG ;; *) exit 2 ;;
  esac; done
shift $((OPTIND - 1))
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build

of() { # NAME: the settings of a model
  name=$1 model=$shared/data/models/$1 widths="8 4 3 2" format=gptq n=128 len=512 chars=100000
  # The models' own domain, without the lines between documents; documents from the 451st on were not seen in training by quern-stories-4m.
  text=$out/calibration.txt
  evaluation=$out/evaluation.txt
  case $1 in
    quern-stories-4m) group=128 ;;
    babyllama-105) group=32 len=256 ;; # 256 positions; 352 inputs
    stories260K) group=-1 format=compressed-tensors ;; # 172 inputs, which no usual group divides and gptq cannot pack
    smollm2)
      model=$(cd "${smollm2:?-s SMOLLM2}" && pwd) group=64 n=32 widths=4
      text=$shared/data/text/wikipedia.sample.txt
      evaluation=$shared/data/text/wikitext2-raw.test.txt
      chars=$(windows24 "$model")
      ;;
    *) echo "$0: no such model: $1" >&2; exit 2 ;;
  esac
  widths=${only:-$widths} n=${windows:-$n} chars=${judged_on:-$chars}
}

ours() { # DRAW WIDTH VARIANT OPTIONS...: the line of a command
  local draw=$1 w=$2 at=$out/$name/$1/w$2-$3
  shift 3
  [ ! -e "$at" ] || return 0
  words quantize "$model" --out "$at" --bits "$w" --group-size "$group" --format "$format" \
    --calibration "$out/$name/$draw/calibration.txt" --samples "$n" --seqlen "$len" "$@"
}

commands() { # all of ours for a model
  local draw w order
  for draw in $(seq "$draws"); do for w in $widths; do
    ours "$draw" "$w" quern
    for order in static group off; do
      [ "$group" != -1 ] || [ $order = off ] || continue
      ours "$draw" "$w" quern-$order --recipe "$out/$order.yaml" --propagation exact
    done
    [ "$draw" = 1 ] || continue
    [ "$w" -lt 3 ] || ours 1 "$w" quern-exact --propagation exact
    ours 1 "$w" quern-rtn --method rtn
  done; done
}

arguments() { # TOOL: those of all of its runs for a model
  local draw w each order damp variant all
  case $1 in
    llmcompressor) all="static:0.01:static" ;;
    gptqmodel) all="gar:0.05:gar05 gar:0.01:gar off:0.01:off" ;;
  esac
  if [ "$group" = -1 ]; then # llm-compressor has one order for these, and GPTQModel pads the columns, which perplexity.py cannot read
    [ "$1" = llmcompressor ] && all="off:0.01:off" || all=
  fi
  for draw in $(seq "$draws"); do for w in $widths; do for each in $all; do
    IFS=: read -r order damp variant <<<"$each"
    [ "$variant" != gar05 ] || [ "$draw" = 1 ] || continue
    echo "--model $model --out $out/$name/$draw/w$w-$1-$variant --n $n --len $len --bits $w --group $group" \
      "--text $out/$name/$draw/calibration.txt --actorder $order --damp $damp"
  done; done; done
}

grep -vxF '<|endoftext|>' "$shared/data/text/tinystories.train-sample.txt" >"$out/calibration.txt"
awk '/^<\|endoftext\|>$/ { n++; next } n >= 450' "$shared/data/text/tinystories.valid-sample.txt" >"$out/evaluation.txt"
for order in static group off; do
  [ $order = static ] && sequential=false || sequential=true
  printf 'scales: max\npercdamp: 0.01\nact-order: "%s"\ntrue-sequential: %s\n' $order $sequential >"$out/$order.yaml"
done
for each in "$@"; do
  of "$each"
  draws "$model" "$text" $((n * len)) "$draws" "$out/$name"
done
for each in "$@"; do of "$each" && commands; done | quern_lines >"$out/quern.log" 2>&1 || { tail -5 "$out/quern.log" >&2; exit 1; }
for tool in llmcompressor gptqmodel; do
  [ $tool = gptqmodel ] && python=$GPTQM_PY || python=$LLMC_PY
  # GPTQModel writes a folder of logs where it is started.
  for each in "$@"; do of "$each" && arguments $tool; done |
    (cd "$out" && "$python" "$bench/peers.py" "$shared/bench/peer_$tool.py" >"$out/$tool.log" 2>&1) || grep -a '^FAILED' "$out/$tool.log" >&2
done

for each in "$@"; do
  of "$each"
  judged=()
  for draw in $(seq "$draws"); do
    ppl=$out/$name/$draw/ppl.txt
    judged+=("$ppl")
    checkpoints=()
    for variant in quern quern-exact llmcompressor-static gptqmodel-gar05 quern-static quern-group gptqmodel-gar quern-off \
      llmcompressor-off gptqmodel-off quern-rtn; do
      for w in $widths; do
        [ ! -e "$out/$name/$draw/w$w-$variant/config.json" ] || checkpoints+=("$out/$name/$draw/w$w-$variant")
      done
    done
    # Anew if one was added or made again.
    [ "$(grep -sc "^PPL" "$ppl")" = $((${#checkpoints[@]} + 1)) ] &&
      [ -z "$(find "${checkpoints[@]}" -maxdepth 1 -name config.json -newer "$ppl")" ] ||
      perplexity "$ppl" --fp "$model" --text "$evaluation" --chars "$chars" --window "$len" "${checkpoints[@]}"
  done
  echo
  echo "$name, groups of $group, $n x $len tokens, $draws draws; $(machine)"
  echo
  # shellcheck disable=SC2086 # one word a width
  tables quality "${judged[0]}" $widths
  echo
  tables ratios "${judged[@]}"
done

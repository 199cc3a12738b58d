#!/usr/bin/env bash
# Perplexity and KL of Quern's checkpoints and of the peers', in their defaults and at equal settings.
#
#   quality.sh [-o OUT] [-s SMOLLM2] quern-stories-4m|babyllama-105|stories260K|smollm2 ...
#
# -s: the model that shared/data/models/make_smollm2.sh makes. What lies in OUT already is not run again.
#
# Variants: quern, quern-exact (layers wait for the quantized layers before them; below 4 bits that is the default),
# quern-rtn. Equal settings are scales by the largest weight, damping 0.01 and exact propagation, in the peer's order of columns:
# quern-static is llm-compressor's default, llmcompressor-static; quern-group and quern-off are GPTQModel's, gptqmodel-gar and
# gptqmodel-off, which takes the sites of a layer one after the other. gptqmodel-gar05 is its default, whose damping is 0.05.
# Of whole rows llmcompressor-off is both its default and, beside quern-off, of equal settings.
. "$(dirname "$0")/common.sh"
out= smollm2=
while getopts o:s: option; do case $option in o) out=$OPTARG ;; s) smollm2=$OPTARG ;; *) exit 2 ;; esac; done
shift $((OPTIND - 1))
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build

ours() { # VARIANT OPTIONS...
  local at=$out/$name/w$w-$1
  shift
  [ ! -e "$at" ] || return 0
  env -u OMP_NUM_THREADS -u MKL_NUM_THREADS "$root/quern" quantize "$model" --out "$at" --bits "$w" --group-size "$group" \
    --format "$format" --calibration "$text" --samples "$n" --seqlen "$len" "$@" >"$at.log" 2>&1 || { cat "$at.log" >&2; exit 1; }
}

peers() { # TOOL PYTHON ORDER:DAMPING:VARIANT...
  local tool=$1 python=$2 each order damp variant
  shift 2
  # GPTQModel writes a folder of logs where it is started.
  (cd "$out/$name" && for w in $widths; do for each in "$@"; do
    IFS=: read -r order damp variant <<<"$each"
    echo "--model $model --out $out/$name/w$w-$tool-$variant --n $n --len $len --bits $w --group $group --text $text" \
      "--actorder $order --damp $damp"
  done; done | "$python" "$bench/peers.py" "$shared/bench/peer_$tool.py" >"$out/$name/$tool.log" 2>&1) ||
    grep -a '^FAILED' "$out/$name/$tool.log" >&2
}

for name in "$@"; do
  mkdir -p "$out/$name"
  model=$shared/data/models/$name widths="8 4 3 2" format=gptq n=128 len=512 chars=100000
  case $name in
    quern-stories-4m) group=128 ;;
    babyllama-105) group=32 len=256 ;; # 256 positions; 352 inputs
    stories260K) group=-1 format=compressed-tensors ;; # 172 inputs, which no usual group divides and gptq cannot pack
    smollm2) model=$(cd "${smollm2:?-s SMOLLM2}" && pwd) group=64 n=32 widths=4 ;;
    *) echo "$0: no such model: $name" >&2; exit 2 ;;
  esac
  if [ "$name" = smollm2 ]; then
    text=$shared/data/text/wikipedia.sample.txt
    evaluation=$shared/data/text/wikitext2-raw.test.txt
    chars=$(windows24 "$model")
  else
    # The models' own domain, without the lines between documents; documents from the 451st on were not seen in training by quern-stories-4m.
    text=$out/calibration.txt
    evaluation=$out/evaluation.txt
    grep -vxF '<|endoftext|>' "$shared/data/text/tinystories.train-sample.txt" >"$text"
    awk '/^<\|endoftext\|>$/ { n++; next } n >= 450' "$shared/data/text/tinystories.valid-sample.txt" >"$evaluation"
  fi
  for order in static group off; do
    [ $order = static ] && sequential=false || sequential=true
    printf 'scales: max\nact-order: "%s"\ntrue-sequential: %s\n' $order $sequential >"$out/$order.yaml"
  done
  for w in $widths; do
    ours quern
    [ "$w" -lt 4 ] || ours quern-exact --propagation exact
    ours quern-static --recipe "$out/static.yaml" --propagation exact
    ours quern-group --recipe "$out/group.yaml" --propagation exact
    ours quern-off --recipe "$out/off.yaml" --propagation exact
    ours quern-rtn --method rtn
  done
  if [ "$group" = -1 ]; then # llm-compressor has one order for these, and GPTQModel pads the columns, which perplexity.py cannot read
    peers llmcompressor "$LLMC_PY" off:0.01:off
  else
    peers llmcompressor "$LLMC_PY" static:0.01:static
    peers gptqmodel "$GPTQM_PY" gar:0.05:gar05 gar:0.01:gar off:0.01:off
  fi
  checkpoints=()
  for variant in quern quern-exact llmcompressor-static gptqmodel-gar05 quern-static quern-group gptqmodel-gar quern-off \
    llmcompressor-off gptqmodel-off quern-rtn; do
    for w in $widths; do
      [ ! -e "$out/$name/w$w-$variant/config.json" ] || checkpoints+=("$out/$name/w$w-$variant")
    done
  done
  perplexity "$out/$name/ppl.txt" --fp "$model" --text "$evaluation" --chars "$chars" --window "$len" "${checkpoints[@]}"
  echo
  echo "$name, groups of $group, $n x $len tokens; $(machine)"
  echo
  # shellcheck disable=SC2086 # one word a width
  tables quality "$out/$name/ppl.txt" $widths
done

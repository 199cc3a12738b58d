#!/usr/bin/env bash
# Formats without calibration, file to file: their rate beside that at which this machine copies the same files, and the time of the
# whole command beside that of each format's own tool.
#
#   cast.sh -m MODEL [-f FORMATS] [-q] [-r TURNS] [-o OUT]
#
# MODEL is a folder with safetensors; llama_of_noise.py makes one of the shapes of a 1B model. A turn copies the weights once (cp), then
# quantizes once to each format, each followed by the format's tool in cast_peers.py (-q: without them). The rate is that of the source's bytes from the birth of the
# first output file to the last write of the last; the whole command has Java's and Spark's start, verification and report in it.
. "$(dirname "$0")/common.sh"
model= turns=1 out= alone=
formats="fp8 compressed-tensors-fp8 compressed-tensors-int8 gptq bitsandbytes-nf4 bitsandbytes-int8 torchao-int8 quanto-int8 hqq"
while getopts m:f:qr:o: option; do case $option in
  m) model=$OPTARG ;; f) formats=$OPTARG ;; q) alone=yes ;; r) turns=$OPTARG ;; o) out=$OPTARG ;; *) exit 2 ;;
  esac; done
model=$(cd "${model:?-m MODEL}" && pwd)
out=${out:-$(mktemp -d)}
mkdir -p "$out"
build

bytes=$(cat "$model"/*.safetensors | wc -c) # and so they are in memory, for all alike
tool() { # FORMAT: the name of its own in cast_peers.py, if there is one
  case $1 in
    fp8) echo llmc-fp8-block ;;
    gptq) echo llmc-w4a16 ;;
    compressed-tensors-*) echo "llmc-${1#compressed-tensors-}" ;;
    bitsandbytes-*) echo "bnb-${1#bitsandbytes-}" ;;
    torchao-* | quanto-* | hqq) echo "$1" ;;
  esac
}
now() { date +%s.%N; }
row() { awk -v w="$1" -v s="$2" -v t="$3" -v b="$bytes" 'BEGIN { printf "| %s | %.1f | %.2f | %s |\n", w, s, b / s / 1e9, t }'; }

echo "$(basename "$model"), $((bytes / 1000000)) MB; $(machine)"
echo
echo "| | s | GB of the source a second | s of the whole command |"
echo "|---|---|---|---|"
for turn in $(seq "$turns"); do
  mkdir "$out/copy"
  begin=$(now)
  cp "$model"/*.safetensors "$out/copy/"
  row cp "$(echo "$begin $(now)" | awk '{ print $2 - $1 }')" ""
  rm -r "$out/copy"
  for format in $formats; do
    method=rtn
    [ "$format" = hqq ] && method=hqq
    begin=$(now)
    quern quantize "$model" --out "$out/$format" --format "$format" --method "$method" >"$out/$format.log" 2>&1 ||
      { tail -5 "$out/$format.log" >&2; exit 1; }
    whole=$(echo "$begin $(now)" | awk '{ printf "%.1f", $2 - $1 }')
    born=$(for f in "$out/$format"/*.safetensors; do date -d "$(stat -c %w "$f")" +%s.%N; done | sort | head -1)
    written=$(for f in "$out/$format"/*.safetensors; do date -d "$(stat -c %y "$f")" +%s.%N; done | sort | tail -1)
    row "$format" "$(echo "$born $written" | awk '{ print $2 - $1 }')" "$whole"
    rm -r "${out:?}/$format"
    peer=$(tool "$format")
    [ -z "$alone" ] && [ -n "$peer" ] || continue
    python=$GPTQM_PY
    case $peer in llmc-*) python=$LLMC_PY ;; esac
    begin=$(now)
    "$python" "$bench/cast_peers.py" "$peer" "$model" "$out/$peer" >"$out/$peer.log" 2>&1 || { tail -5 "$out/$peer.log" >&2; exit 1; }
    echo "$begin $(now)" | awk -v w="$peer" -v s="$(sed -n 's/^quantize and write //p' "$out/$peer.log")" -v our="$whole" \
      '{ printf "| %s | %s | | %.1f, ours %.2f of it |\n", w, s, $2 - $1, our / ($2 - $1) }'
    rm -r "${out:?}/$peer"
  done
done

# What the bench scripts share; sourced. Needs the folder of test data with the peers' scripts, QUERN_SHARED or ../shared, and the
# peers' Python environments: GPTQM_PY (gptqmodel, transformers) and LLMC_PY (llmcompressor), see bench/README.md there.
set -euo pipefail
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$bench/../../../.." && pwd)
shared=$(cd "${QUERN_SHARED:-$root/../shared}" && pwd)
: "${GPTQM_PY:?the python of an environment with gptqmodel}" "${LLMC_PY:?the python of one with llmcompressor}"
[ -x /usr/bin/time ] || { echo "$0: /usr/bin/time is missing (apt-get install time)" >&2; exit 2; }
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-2}" TOKENIZERS_PARALLELISM=false

tables() { "$GPTQM_PY" "$bench/tables.py" "$@"; }

# CPU seconds that the whole machine has spent.
busy() { awk -v hz="$(getconf CLK_TCK)" 'NR == 1 { print ($2 + $3 + $4 + $7 + $8 + $9) / hz; exit }' /proc/stat; }

# timed NAME COMMAND...: runs it under time -v; leaves NAME.time, NAME.log, and in NAME.busy what the machine spent meanwhile.
timed() {
  local name=$1 before
  shift
  before=$(busy)
  if ! /usr/bin/time -v -o "$name.time" "$@" >"$name.log" 2>&1; then
    echo "$* failed:" >&2
    tail -5 "$name.log" >&2
    exit 1
  fi
  echo "$before $(busy)" | awk '{ print $2 - $1 }' >"$name.busy"
}

# The launcher builds what is stale; that is not to be timed.
quern() { "$root/quern" "$@"; }
build() { quern --version >/dev/null; }

# words WORD...: a line for quern_lines.
words() { (IFS=$'\t' && echo "$*"); }

# quern_lines <LINES: each line a command, its words between tabs; all in one JVM.
quern_lines() {
  local target=$root/driver/target opens lines
  lines=$(cat)
  [ -n "$lines" ] || return 0
  opens=$(sed -n 's:.*<spark\.jvm\.opens>\(.*\)</spark\.jvm\.opens>.*:\1:p' "$root/pom.xml")
  # shellcheck disable=SC2086 # the flags are words without spaces in them
  env -u OMP_NUM_THREADS -u MKL_NUM_THREADS MALLOC_ARENA_MAX=2 java $opens -XX:+UseSerialGC \
    "-Dlog4j2.configurationFile=file:$root/conf/log4j2.properties" \
    -cp "$target/quern.jar:$(cat "$target/spark-classpath.txt"):$(cat "$target/spark-classpath-runtime.txt")" "$bench/Commands.java" <<<"$lines"
}

machine() {
  echo "$(date -u +%F), $(nproc --all) cores of $(sed -n 's/^model name[^:]*: //p;' /proc/cpuinfo | head -1)" \
    "$(grep -om1 -w -e amx_bf16 /proc/cpuinfo || true) $(grep -om1 -w -e avx512_bf16 /proc/cpuinfo || true), commit" \
    "$(git -C "$root" rev-parse --short HEAD)"
}

# perplexity OUT OPTIONS...: weights dequantized by shared/bench/perplexity.py, which is none of the tools.
perplexity() {
  local to=$1
  shift
  if ! PYTHONDONTWRITEBYTECODE=1 "$GPTQM_PY" "$shared/bench/perplexity.py" "$@" >"$to" 2>"$to.log"; then
    tail -5 "$to.log" >&2
    exit 1
  fi
}

# windows24 MODEL: so many characters of wikitext2-raw.test that perplexity.py sees 24 windows of 512 tokens.
windows24() {
  "$GPTQM_PY" - "$1/tokenizer.json" "$shared/data/text/wikitext2-raw.test.txt" <<'P'
import sys
from tokenizers import Tokenizer
text = open(sys.argv[2], encoding="utf-8").read(200_000)
print(Tokenizer.from_file(sys.argv[1]).encode(text, add_special_tokens=False).offsets[24 * 512 + 255][1])
P
}

# draws MODEL TEXT TOKENS COUNT FOLDER: stretches of the text that share no token, FOLDER/1/calibration.txt and so on, each of so many
# tokens at least and beginning with a line; the first is the beginning of the text.
draws() {
  "$GPTQM_PY" - "$@" <<'P'
import os, sys
from tokenizers import Tokenizer
model, text, tokens, count, folder = sys.argv[1:]
tokenizer = Tokenizer.from_file(model + "/tokenizer.json")
draw, lines, got = 1, [], 0
for line in open(text, encoding="utf-8"):
    lines.append(line)
    got += len(tokenizer.encode(line, add_special_tokens=False).ids)
    if got >= int(tokens):
        os.makedirs(f"{folder}/{draw}", exist_ok=True)
        with open(f"{folder}/{draw}/calibration.txt", "w", encoding="utf-8") as f:
            f.writelines(lines)
        draw, lines, got = draw + 1, [], 0
        if draw > int(count):
            sys.exit()
sys.exit(f"{text} is enough for {draw - 1} draws only")
P
}

# settings MODEL: what methods.sh and activations.sh take for a model; needs $at and $smollm2.
settings() {
  if [ "$1" = smollm2 ]; then
    model=$(cd "${smollm2:?-s SMOLLM2}" && pwd) group=64 n=32 len=512
    chars=$(windows24 "$model")
    calibration=$shared/data/text/wikipedia.sample.txt
    evaluation=$shared/data/text/wikitext2-raw.test.txt
  else
    model=$shared/data/models/$1 group=128 n=128 len=512 chars=100000
    calibration=$at/calibration.txt
    evaluation=$at/evaluation.txt
    grep -vxF '<|endoftext|>' "$shared/data/text/tinystories.train-sample.txt" >"$calibration"
    awk '/^<\|endoftext\|>$/ { n++; next } n >= 450' "$shared/data/text/tinystories.valid-sample.txt" >"$evaluation"
  fi
}

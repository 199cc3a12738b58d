#!/usr/bin/env bash
# Bits a weight and KL of the demo model by every recipe of conf/recommend.yaml and by those of the README's tables: what stands there.
#
#   demo.sh [-o OUT]
#
# What lies in OUT already is not run again. KL is of the demo's own evaluation, 42 windows of unseen stories.
. "$(dirname "$0")/common.sh"
out=
while getopts o: option; do case $option in o) out=$OPTARG ;; *) exit 2 ;; esac; done
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
build

recipes() {
  sed -n 's/^  - {recipe: {\(.*\)}, kl: .*/\1/p' "$root/conf/recommend.yaml"
  cat <<'R'
format: quanto-int4, method: hqq
format: quanto-int4, method: rtn
format: quanto-int2, method: hqq
format: quanto-int2, method: rtn
format: gguf-q4_k_m, method: imatrix
format: gguf-q4_k_m, method: rtn
format: gguf-q3_k_m, method: imatrix
format: eetq
method: gptaq
method: gptaq, bits: 3
method: rtn
method: rtn, bits: 3
method: rtn, transform: awq
method: rtn, transform: awq, bits: 3
method: rtn, transform: hadamard
method: rtn, transform: hadamard, bits: 3
transform: awq
transform: awq, bits: 3
transform: hadamard
transform: hadamard, bits: 3
R
  printf -- '--target-bpw %s\n' 3.5 4.5
}

at() { echo "$out/$(tr -d ':,' <<<"$1" | tr ' ' '_')"; }

recipes | while IFS= read -r recipe; do
  [ -e "$(at "$recipe")" ] && continue
  case $recipe in
    --*) words quantize demo --out "$(at "$recipe")" "${recipe/ /$'\t'}" ;;
    *)
      echo "{$recipe}" >"$(at "$recipe").yaml"
      words quantize demo --out "$(at "$recipe")" --recipe "$(at "$recipe").yaml"
      ;;
  esac
done | quern_lines >"$out/quern.log" 2>&1 || { tail -5 "$out/quern.log" >&2; exit 1; }

echo "quern-stories-4m; $(machine)"
echo
echo "| recipe | bits a weight | perplexity | KL |"
echo "|---|---|---|---|"
recipes | while IFS= read -r recipe; do tables demo "$recipe" "$(at "$recipe")/report.json"; done

#!/bin/sh
# Prints the folder of a Python environment of the interop tests, main or vllm, after building it where it is missing:
#
#     environment.sh main
#
# It lies under ${QUERN_INTEROP_CACHE:-~/.cache/quern/interop} and is built anew when its requirements change.
# QUERN_INTEROP_MAIN and QUERN_INTEROP_VLLM name environments that exist already.
set -eu

uv_version=0.13.8
name=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${QUERN_INTEROP_CACHE:-${HOME:?}/.cache/quern/interop}

case $name in
main) given=${QUERN_INTEROP_MAIN:-} ;;
vllm) given=${QUERN_INTEROP_VLLM:-} ;;
*) echo "environment.sh: main or vllm, not $name" >&2 && exit 2 ;;
esac
if [ -n "$given" ]; then
    echo "$given"
    exit
fi

requirements=$here/requirements-$name.txt
overrides=$here/overrides-$name.txt
[ -e "$overrides" ] || overrides=/dev/null
folder=$cache/$name-$(cat "$requirements" "$overrides" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12)

if [ ! -e "$folder/ready" ]; then
    mkdir -p "$cache"
    if command -v uv >/dev/null; then
        uv=uv
    else
        uv=$cache/uv-$uv_version/bin/uv
        if [ ! -x "$uv" ]; then
            python3 -m venv "$cache/uv-$uv_version" >&2
            "$cache/uv-$uv_version/bin/pip" install --quiet "uv==$uv_version" >&2
        fi
    fi
    # Without the mark at the end an earlier attempt was cut off.
    "$uv" venv --quiet --clear --python 3.11 "$folder" >&2
    "$uv" pip install --quiet --python "$folder/bin/python" --requirement "$requirements" --override "$overrides" >&2
    : >"$folder/ready"
fi
echo "$folder"

#!/bin/sh
# cuda-compiler.sh DIR: installs the CUDA compiler (from PyPI, 220 MB in DIR); then QUERN_CUDA=DIR ./mvnw ... builds the
# kernels. No GPU, no driver and no nvcc are needed.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
pins=$(dirname "$0")/cuda-compiler.txt
if cmp -s "$pins" "$1/cuda-compiler.txt"; then
  exit
fi
if command -v uv >/dev/null; then
  uv pip install --quiet --no-deps --target "$1" -r "$pins"
else
  # A Python without pip of its own has it in a virtual environment.
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m venv "$work/venv" || { echo "Cannot install the CUDA compiler: python3 makes no venv (install python3-venv, or uv)" >&2; exit 1; }
  "$work/venv/bin/pip" install --quiet --upgrade --disable-pip-version-check --no-deps --target "$1" -r "$pins"
fi
cp "$pins" "$1/" # the last thing written: a whole installation

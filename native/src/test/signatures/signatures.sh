#!/bin/sh
# signatures.sh DIR: compares what the C layer declares with NVIDIA's headers of CUDA 12 and 13, which it downloads into DIR (1.7 GB of
# libraries around 20 MB of headers; too much for each build, so run it when entries.h changes).
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

headers() { # headers MAJOR PACKAGE...: their include folders into MAJOR
  major=$1
  shift
  [ ! -f "$major/whole" ] || return 0
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "wheels-$major" "$@"
  for wheel in "wheels-$major"/*.whl; do
    python3 - "$wheel" "$major" <<'P'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if '/include/' in n])
P
  done
  rm -r "wheels-$major"
  touch "$major/whole"
}
headers 12 nvidia-cublas-cu12==12.9.1.4 nvidia-cusolver-cu12==11.7.5.82 nvidia-cusparse-cu12==12.5.10.65 \
  nvidia-cuda-runtime-cu12==12.9.79 nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-cccl-cu12==12.9.27
headers 13 nvidia-cublas==13.1.0.3 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3 nvidia-cuda-runtime==13.0.96 \
  nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85

for major in 12 13; do
  set --
  for folder in "$major"/nvidia/*/include; do set -- "$@" -isystem "$folder"; done
  cc -std=gnu11 -Wall -fsyntax-only -I"$here/../../main/c" "$@" "$here/signatures.c"
  echo "the layer's declarations are those of CUDA $major"
done

#!/bin/sh
# Spark's resource discovery: prints the addresses of this host's GPUs as {"name": "gpu", "addresses": ["0", "1"]}.
# Use it with --conf spark.executor.resource.gpu.discoveryScript=/path/to/getGpusResources.sh.
# CUDA_VISIBLE_DEVICES limits what is offered, as it limits CUDA: the list ends at the first entry that is not a device.
set -eu

devices=$(nvidia-smi --query-gpu=index,uuid --format=csv,noheader) || {
  echo "Cannot list the GPUs: nvidia-smi failed (install the NVIDIA driver, or take the discovery script out)" >&2
  exit 1
}

printf '%s\n' "$devices" | awk -F ', *' -v limited="${CUDA_VISIBLE_DEVICES+yes}" -v visible="${CUDA_VISIBLE_DEVICES-}" '
  NF >= 2 { uuid[$1] = $2; order[n++] = $1 }
  END {
    if (limited) {
      wanted = split(visible, want, ",")
      for (i = 1; i <= wanted; i++) {
        gsub(/ /, "", want[i])
        found = ""
        for (j = 0; j < n; j++)
          if (want[i] == order[j] || (want[i] ~ /^GPU-/ && index(uuid[order[j]], want[i]) == 1)) found = order[j]
        if (found == "") break
        out = out (out == "" ? "" : ", ") "\"" found "\""
      }
    } else {
      for (j = 0; j < n; j++) out = out (out == "" ? "" : ", ") "\"" order[j] "\""
    }
    print "{\"name\": \"gpu\", \"addresses\": [" out "]}"
  }'

#!/bin/sh
# Peak memory and time of pruning a 4 GB ONNX model with external data, against `cp` of input and output; both
# from a cold cache (as root) and ended by a sync. Needs GNU time and 14 GB of disk; removes what it wrote.
#   bench/prune_large.sh [stored|named [program]]
set -eu
form=${1:-stored} program=${2:-out/release/espalier} make=out/release/bench/large_model
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-large-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/in" "$work/out" "$work/copy"
now() { date +%s.%N; }
cold() {
    sync
    echo 3 2>/dev/null >/proc/sys/vm/drop_caches || echo "the cache stays warm: not root" >&2
}
"$make" "$work/in/model.onnx" "$form"
cold
start=$(now)
/usr/bin/time -f '%M' -o "$work/peak" "$program" opt "$work/in/model.onnx" \
    --passes 'prune_ffn{keep=0-999+2000-5095}' -o "$work/out/model.onnx"
sync
prune=$(echo "$start $(now)" | awk '{ print $2 - $1 }')
cold
start=$(now)
cp "$work/in/"* "$work/copy"
mkdir "$work/copy/out"
cp "$work/out/"* "$work/copy/out"
sync
copy=$(echo "$start $(now)" | awk '{ print $2 - $1 }')
echo "$form $(cat "$work/peak") $prune $copy" |
    awk '{ printf "%s: peak %.0f MB, prune %.1f s, cp %.1f s, ratio %.2f\n", $1, $2 / 1000, $3, $4, $3 / $4 }'

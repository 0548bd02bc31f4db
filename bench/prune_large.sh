#!/bin/sh
# Peak memory and time of pruning a 4 GB ONNX model with external data, by `opt` and by a pipeline, against `cp` of
# what is read and written; all from a cold cache (as root) and ended by a sync. Needs GNU time and 20 GB of disk;
# removes what it wrote.
#   bench/prune_large.sh [stored|named [program]]
set -eu
form=${1:-stored} program=${2:-out/release/espalier} make=out/release/bench/large_model
passes='prune_ffn{keep=0-999+2000-5095}'
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-large-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/in" "$work/out"
now() { date +%s.%N; }
cold() {
    sync
    echo 3 2>/dev/null >/proc/sys/vm/drop_caches || echo "the cache stays warm: not root" >&2
}
# seconds: runs its arguments from a cold cache, and a sync
timed() {
    cold
    start=$(now)
    "$@"
    sync
    seconds=$(echo "$start $(now)" | awk '{ print $2 - $1 }')
}
# measure NAME COMMAND...: also the peak
measure() {
    name=$1
    shift
    timed /usr/bin/time -f '%M' -o "$work/peak" "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    took=$seconds
    echo "$form $(cat "$work/peak") $took" |
        awk -v name="$name" '{ printf "%s, %s: peak %.0f MB, %.1f s\n", $1, name, $2 / 1000, $3 }'
}
# against_copy FILE...: `took` as a multiple of copying these
against_copy() {
    mkdir "$work/copy"
    timed cp -r "$@" "$work/copy"
    rm -r "$work/copy"
    echo "$took $seconds" | awk '{ printf "    cp of input and output %.1f s, ratio %.2f\n", $2, $1 / $2 }'
}
"$make" "$work/in/model.onnx" "$form"

measure opt "$program" opt "$work/in/model.onnx" --passes "$passes" -o "$work/out/model.onnx"
against_copy "$work/in" "$work/out"
rm -r "$work/out"

cat >"$work/p.yaml" <<END
espalier: 1
inputs:
  teacher: {model: in/model.onnx}
stages:
  - import: {model: teacher}
  - apply:  {passes: "$passes"}
  - export: {onnx: out/model.onnx}
END
mkdir "$work/out"
run() { measure "$1" "$program" run "$work/p.yaml" --store "$work/store" --until "$1"; }
run import
find "$work/store/objects" -size +64k >"$work/imported"
run apply
find "$work/store/objects" -size +64k | grep -vxFf "$work/imported" >"$work/written" || true
against_copy "$work/in" $(cat "$work/written")
run export

#!/bin/sh
# Time and peak memory of `inspect`: a model of 15 billion parameters, whose 60 GB of weights lie in a sparse file, and
# graphs of 100,000 and 200,000 nodes, of which the second should take twice as long. Needs GNU time; removes what it wrote.
#   bench/inspect_large.sh [program]
set -eu
program=${1:-out/release/espalier} make=out/release/bench/large_model
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-inspect-XXXXXX")
trap 'rm -rf "$work"' EXIT
# measure NAME MODEL: the best of three, as other programs may be running
measure() {
    for turn in 1 2 3; do
        /usr/bin/time -a -f '%M %e %U' -o "$work/times" "$program" inspect "$2" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    done
    awk -v name="$1" 'NR == 1 || $2 < best { best = $2 } NR == 1 || $3 < least { least = $3 } $1 > peak { peak = $1 }
        END { printf "%s: %.2f s, of which %.2f s on a processor, peak %.0f MB\n", name, best, least, peak / 1000 }' "$work/times"
    rm "$work/times"
}
"$make" "$work/model.onnx" sparse >/dev/null
measure "$(awk '/^parameters/ { print $2 }' <<END
$("$program" inspect "$work/model.onnx" 2>/dev/null)
END
) parameters" "$work/model.onnx"
for layers in 1351 2702; do
    nodes=$("$make" "$work/model.onnx" deep "$layers")
    measure "$nodes" "$work/model.onnx"
done

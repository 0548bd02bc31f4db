#!/bin/sh
# The ops of a distillation step (bench/ops.txt) on the twin, golden and fast, beside PyTorch where there is one: milliseconds, the
# best of some turns in which each runs all rows; the fraction of the floor, which is what the products take at the measured rate of
# multiplications and additions (golden: apart, fast: fused) or what the bytes take at the measured bandwidth, whichever is longer; and
# the ratio to PyTorch's time. Operands are in a cache where they fit, so that a fraction can be above 1 for ops that only move bytes.
#   bench/ops.sh [turns [threads]]
set -eu
turns=${1:-2} threads=${2:-2} program=${PROGRAM:-out/release/bench/ops} python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-ops-XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS="$threads"
i=0
while [ "$i" -lt "$turns" ]; do
    for numerics in golden fast; do
        "$program" -t "$threads" -n $numerics <bench/ops.txt | awk -v who=$numerics '{ print who "\t" $0 }' >>"$work/all"
    done
    "$python" bench/ops.py -t "$threads" <bench/ops.txt 2>/dev/null | awk '{ print "torch\t" $0 }' >>"$work/all" || :
    i=$((i + 1))
done
awk -F '\t' '
    $2 == "ceiling" { for (i = 3; i <= 5; i++) if ($i > ceiling[i]) ceiling[i] = $i; next }
    !($2 in operations) { names[++count] = $2 }
    $1 != "torch" { operations[$2] = $4; bytes[$2] = $5 }
    !(($1, $2) in best) || $3 < best[$1, $2] { best[$1, $2] = $3 }
    function floor(row, rate,   compute, memory) {
        compute = operations[row] / rate; memory = bytes[row] / ceiling[5]
        return compute > memory ? compute : memory
    }
    END {
        printf "Ceilings: %.0f GFLOP/s apart, %.0f fused, %.1f GB/s.\n\n", ceiling[3] / 1e9, ceiling[4] / 1e9, ceiling[5] / 1e9
        print "| op | golden, ms | of its floor | fast, ms | of its floor | PyTorch, ms | golden | fast |"
        print "|---|---|---|---|---|---|---|---|"
        for (i = 1; i <= count; i++) {
            row = names[i]; g = best["golden", row]; f = best["fast", row]; t = best["torch", row]
            printf "| `%s` | %.3f | %.2f | %.3f | %.2f |", row, 1e3 * g, floor(row, ceiling[3]) / g, 1e3 * f, floor(row, ceiling[4]) / f
            if (t) printf " %.3f | %.2f | %.2f |\n", 1e3 * t, t / g, t / f
            else print " – | – | – |"
        }
    }' "$work/all"

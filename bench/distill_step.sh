#!/bin/sh
# A distillation step on the twin against eager PyTorch, in turns on the same cores, so that whatever else
# runs disturbs both alike. Prints tokens a second of every turn and the ratio of the sums.
#   bench/distill_step.sh [turns [threads [golden|fast [program]]]]     PYTHON names a python that has torch
set -eu
turns=${1:-5} threads=${2:-2} numerics=${3:-golden} program=${4:-out/release/bench/distill_step}
export OMP_NUM_THREADS="$threads"
i=0 all=
while [ "$i" -lt "$turns" ]; do
    a=$("$program" "$threads" "$numerics" 2>/dev/null)
    b=$("${PYTHON:-python3}" bench/distill_step.py "$threads" 2>/dev/null)
    echo "twin $a  PyTorch $b"
    all="$all $a $b" i=$((i + 1))
done
echo "$all" | awk '{ for (i = 1; i < NF; i += 2) { a += $i; b += $(i + 1) } printf "ratio %.2f\n", a / b }'

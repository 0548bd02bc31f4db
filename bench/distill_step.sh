#!/bin/sh
# A distillation step on the twin against PyTorch, in turns on the same cores, so that whatever else runs disturbs all
# alike. Prints tokens a second of every turn, and the ratios of the sums to eager PyTorch.
#   bench/distill_step.sh [small|medium|large [turns [threads]]]
# PYTHON names a python that has torch; COMPILE=1 compares with torch.compile too, which needs a C++ compiler.
set -eu
size=${1:-medium} turns=${2:-5} threads=${3:-2}
program=${PROGRAM:-out/release/bench/distill_step} python=${PYTHON:-python3}
export OMP_NUM_THREADS="$threads"
# layers, hidden, heads, key-value heads, size of a head, width of the MLP: of the teacher, of the student
case $size in
small) shapes='-v 512 5,64,8,4,8,172 5,48,6,3,8,128' ;;                   # 0.3 and 0.2 M parameters
medium) shapes='-v 512 6,128,8,4,16,384 6,96,6,3,16,256' ;;               # 1.3 and 0.7 M
large) shapes='-s 3 -v 4096 6,384,8,8,48,1152 6,288,6,6,48,896' ;;        # 15 and 9 M
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac

# shellcheck disable=SC2086
ours() { "$program" -t "$threads" -n "$1" $shapes 2>/dev/null; }
# shellcheck disable=SC2086
theirs() { "$python" bench/distill_step.py -t "$threads" "$@" $shapes 2>/dev/null || echo 0; } # 0: there is no such peer

i=0 all=
while [ "$i" -lt "$turns" ]; do
    golden=$(ours golden) fast=$(ours fast) eager=$(theirs) compiled=0
    [ -z "${COMPILE:-}" ] || compiled=$(theirs --compile)
    echo "golden $golden  fast $fast  PyTorch eager $eager  compiled $compiled"
    all="$all $golden $fast $eager $compiled" i=$((i + 1))
done
echo "$all" | awk -v size="$size" '{
    for (i = 1; i < NF; i += 4) { golden += $i; fast += $(i + 1); eager += $(i + 2); compiled += $(i + 3) }
    if (!eager) { printf "%s: no PyTorch; fast %.2f times golden\n", size, fast / golden; exit }
    printf "%s: golden %.2f, fast %.2f", size, golden / eager, fast / eager
    if (compiled) printf ", torch.compile %.2f", compiled / eager
    print " times eager PyTorch" }'

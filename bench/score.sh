#!/bin/sh
# Scoring on the twin (heads, neurons, embedding channels of examples/demo's teacher, 256 samples of 256 tokens) against forward
# hooks in PyTorch, in turns. Prints tokens a second and the ratio of the sums.
#   bench/score.sh [turns [threads]]
set -eu
turns=${1:-3} threads=${2:-2} program=${PROGRAM:-out/release/espalier} python=${PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-score-XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS="$threads"
cat >"$work/score.yaml" <<END
espalier: 1
name: score
inputs:
  teacher: {model: $PWD/examples/demo/teacher.onnx, tokenizer: bytes}
  text: {text: $PWD/docs/ir.md, part: train}
stages:
  - import: {model: teacher}
  - score:  {data: text, samples: 256, length: 256, aggregate: {batch: l2, sequence: mean}}
END
# tokens a second of the stage
ours() {
    rm -rf "$work/store"
    "$program" run "$work/score.yaml" --store "$work/store" --device cpu --threads "$threads" --numerics "$1" --json 2>/dev/null |
        sed -n 's/.*"stage":"score".*"seconds":\([0-9.e-]*\).*/\1/p' | awk '{ printf "%.0f\n", 65536 / $1 }'
}
i=0 all=
while [ "$i" -lt "$turns" ]; do
    all="$all $(ours golden) $(ours fast) $("$python" bench/score.py -t "$threads" 2>/dev/null || echo 0)" i=$((i + 1))
done
echo "$all" | awk '{
    for (i = 1; i < NF; i += 3) { golden += $i; fast += $(i + 1); theirs += $(i + 2) }
    if (!theirs) { printf "scoring: golden %.0f, fast %.0f tokens/s; no PyTorch\n", 3 * golden / NF, 3 * fast / NF; exit }
    printf "scoring: golden %.0f, fast %.0f, PyTorch %.0f tokens/s; golden %.2f, fast %.2f times PyTorch\n",
        3 * golden / NF, 3 * fast / NF, 3 * theirs / NF, golden / theirs, fast / theirs }'

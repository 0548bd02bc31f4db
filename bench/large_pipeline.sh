#!/bin/sh
# Time and peak memory of each stage of a whole job on a model of a billion parameters with random weights, on the twin:
# import, score on 8 sequences, prune, two steps of distillation, export. Needs GNU time and 20 GB of disk; removes what it
# wrote. Two cores take half an hour.
#   bench/large_pipeline.sh [layers [program]]
set -eu
layers=${1:-16} program=${2:-out/release/espalier} make=out/release/bench/large_folder
work=$(mktemp -d "${TMPDIR:-/tmp}/espalier-pipeline-XXXXXX")
trap 'rm -rf "$work"' EXIT
"$make" "$work/teacher" "$layers"
cat docs/*.md >"$work/text.txt"
cat >"$work/p.yaml" <<END
espalier: 1
inputs:
  teacher: {model: teacher, tokenizer: teacher/tokenizer.json}
  text: {text: text.txt}
stages:
  - import:  {model: teacher}
  - score:   {data: text, samples: 8, length: 64}
  - prune:   {ffn: 4096, layers: $((layers * 3 / 4))}
  - distill: {teacher: import, data: text, steps: 2, batch: 2, micro: 1, length: 64, optimizer: {adamw: {lr: 1.0e-4}}}
  - export:  {hf: student}
END
for stage in import score prune distill export; do
    /usr/bin/time -f '%M %e' -o "$work/cost" "$program" run "$work/p.yaml" --device cpu --until "$stage" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    awk -v stage="$stage" '{ printf "%s: %.0f s, peak %.1f GB\n", stage, $2, $1 / 1e6 }' "$work/cost"
done
"$program" inspect "$work/student" 2>/dev/null | sed -n '/^parameters/p'

#!/bin/sh
# three_seeds.sh [STEPS]: the table of docs/demo.md. For three seeds and four learning rates, a distilled student and one from
# scratch, of the same shape and on the same tokens; then per seed the best rate of each, means and 95 % intervals
# (Student's t, two degrees of freedom: 4.303 s / sqrt(3)). Results of every run stay in out/demo/seeds.
set -eu
steps=${1:-200}
espalier=${ESPALIER:-out/espalier}
mkdir -p out/demo/seeds
rows=out/demo/seeds/rows.txt
: >"$rows"
for seed in 1 2 3; do
    for rate in 1.0e-3 2.0e-3 4.0e-3 8.0e-3; do
        file=out/demo/seeds/s$seed-$rate.yaml
        training="data: train, steps: $steps, batch: 16, micro: 8, length: 256, optimizer: {adamw: {lr: $rate, decay: 0.05}}, schedule: {cosine: {warmup: 15, floor: 0.02}}"
        cat >"$file" <<YAML
espalier: 1
name: seeds
seed: $seed
inputs:
  teacher: {model: ../../../examples/demo/teacher.onnx, tokenizer: bytes}
  train:   {text: ../corpus.txt, part: train, fraction: 0.05}
  heldout: {text: ../corpus.txt, part: heldout, fraction: 0.02}
stages:
  - import:   {model: teacher}
  - evaluate: {as: teacher, data: heldout}
  - score:    {data: train, samples: 256, length: 256}
  - prune:    {hidden: 80, ffn: 192, layers: 3}
  - evaluate: {as: pruned, data: heldout}
  - distill:  {teacher: import, $training}
  - evaluate: {as: distilled, data: heldout}
  - init:     {as: scratch, like: prune}
  - train:    {as: scratch-trained, $training}
  - evaluate: {as: from-scratch, data: heldout}
YAML
        "$espalier" run "$file" --store out/demo/seeds/store --json -q |
            awk -v seed="$seed" -v rate="$rate" '/"report"/ {
                match($0, /"stage":"[^"]*"/); stage = substr($0, RSTART + 9, RLENGTH - 10)
                match($0, /"loss":[0-9.]*/); print seed, rate, stage, substr($0, RSTART + 7, RLENGTH - 7) }' >>"$rows"
    done
done
awk '
{ key = $1 " " $3; if (!(key in best) || $4 < best[key]) { best[key] = $4; rate[key] = $2 } }
END {
    split("teacher pruned distilled from-scratch", stages, " ")
    printf "| model | seed 1 | seed 2 | seed 3 | mean | 95 %% interval |\n|---|---|---|---|---|---|\n"
    for (i = 1; i <= 4; i++) {
        sum = squares = 0
        line = "| " stages[i]
        for (s = 1; s <= 3; s++) {
            x = best[s " " stages[i]]; sum += x; squares += x * x
            line = line sprintf(" | %.4f%s", x, i > 2 ? " (" rate[s " " stages[i]] ")" : "")
        }
        mean = sum / 3; spread = squares / 3 - mean * mean; if (spread < 0) spread = 0
        printf "%s | %.4f | ± %.4f |\n", line, mean, 4.303 * sqrt(spread * 3 / 2) / sqrt(3)
    }
}' "$rows"

#!/bin/sh
# The whole set of benchmarks, each beside its peers where they are installed, in one go: some fifteen minutes on two cores.
# Peers: PyTorch (PYTHON names a python that has it), OpenBLAS (libopenblas.so.0), ggml (libggml-dev), cp.
#   bench/all.sh [threads]
set -eu
threads=${1:-2}
ninja out/espalier out/release/bench/ops out/release/bench/matmul out/release/bench/distill_step out/release/bench/vulkan_matmul \
    out/release/bench/large_model >/dev/null
section() { printf '\n## %s\n\n' "$1"; }
# best MILLISECONDS of ten runs of a command
startup() {
    i=0
    while [ $i -lt 10 ]; do
        start=$(date +%s%N)
        "$@" >/dev/null 2>&1 || return 0
        echo $((($(date +%s%N) - start) / 1000))
        i=$((i + 1))
    done | sort -n | awk -v what="$*" 'NR == 1 { printf "%s: %.1f ms\n", what, $1 / 1000 }'
}
section "Ops, $threads threads"
bench/ops.sh 2 "$threads"
section 'Matrix products against the ceiling and OpenBLAS'
for numerics in golden fast; do out/release/bench/matmul "$threads" $numerics; done
section 'Distillation step'
for size in small medium large; do COMPILE=1 bench/distill_step.sh $size 2 "$threads"; done
section 'Distillation step on one thread'
bench/distill_step.sh medium 2 1
section 'Scoring'
bench/score.sh 2 "$threads"
section 'Vulkan'
out/espalier devices 2>/dev/null || :
out/release/bench/vulkan_matmul 2>/dev/null || :
if ninja out/release/bench/ggml_matmul >/dev/null 2>&1; then
    GGML_VK_VISIBLE_DEVICES=${GGML_VK_VISIBLE_DEVICES:-0} out/release/bench/ggml_matmul 2>/dev/null
else
    echo "ggml: not here (libggml-dev)"
fi
section 'Import, pruning and export of 4 GB'
bench/prune_large.sh stored
section 'Startup'
startup out/espalier --version
startup out/espalier inspect golden/tiny/model.onnx
startup "${PYTHON:-python3}" -c 'import torch'

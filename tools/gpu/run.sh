#!/usr/bin/env bash
# Checks and measures diffstitch on a card, in 6 minutes, and prints one table: what
# `make gpu-bundle` packs, unpacked. It needs Python with jax's wheel for CUDA, and
# PyTorch for the peer, which is left out where it is not there.
#
#   run.sh [OUT]      what the steps print, and table.md, go to OUT (default: results)
#
#   PYTHON            the Python that has them (default python3)
#   PLUGIN            a PJRT plugin, in place of the one of jax's wheel
#   TESTS_TIME, TRAIN_STEPS, PAPER_STITCHES, SMALL_STITCHES, UPDATES
#                     how much is done, for slower devices
set -uo pipefail
cd "$(dirname "$0")" || exit 1
out=$(realpath -m "${1:-results}")
python=${PYTHON:-python3}
mkdir -p "$out"

plugin=${PLUGIN:-$("$python" - <<'PY'
import glob, site, sys
for folder in site.getsitepackages() + [site.getusersitepackages()]:
    for found in sorted(glob.glob(folder + "/jax_plugins/xla_cuda*/xla_cuda_plugin.so")):
        print(found)
        sys.exit()
PY
)}
if [[ ! -f $plugin ]]; then
  echo "no PJRT plugin: install jax's wheel for CUDA (jax-cuda13-plugin, jax-cuda13-pjrt), or set PLUGIN" >&2
  exit 1
fi
site=${plugin%/jax_plugins/*}
for cuda in "$site"/nvidia/cu*; do
  if [[ -d $cuda ]]; then
    export XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_cuda_data_dir=$cuda"
  fi
done
export GOMLX_BACKEND="xla:$plugin" GOMLX_NO_AUTO_INSTALL=1 XDG_CACHE_HOME="$out/cache"
"$python" --version
echo "plugin $plugin"

# step NAME SECONDS COMMAND... runs a command, with a limit of its own, and keeps what it
# prints; how long it took, how it ended and how busy the card was go to steps.tsv.
step() {
  local name=$1 limit=$2 began ended code busy watcher
  shift 2
  busy=-
  if type nvidia-smi >/dev/null 2>&1; then
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits -lms 200 > "$out/$name.busy" 2>/dev/null &
    watcher=$!
  fi
  began=$EPOCHREALTIME
  timeout --kill-after=5 "$limit" "$@" > "$out/$name.log" 2>&1
  code=$?
  ended=$EPOCHREALTIME
  if [[ -n ${watcher:-} ]]; then
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    busy=$(awk '{sum += $1} END {if (NR) printf "%.0f", sum / NR}' "$out/$name.busy")
  fi
  printf '%s\t%s\t%s\t%s\n' "$name" "$(awk "BEGIN {printf \"%.2f\", $ended - $began}")" "$code" "$busy" | tee -a "$out/steps.tsv"
}

: > "$out/steps.tsv"
tests_time=${TESTS_TIME:-50s}

# Right first: in float32, so that a mistake can be told from rounding.
for test in tests/*.test; do
  package=$(basename "$test" .test)
  step "test-$package" "$tests_time" env -C "tests/$package" GOMLX_BACKEND="$GOMLX_BACKEND,tf32=false" "$PWD/$test" -test.short -test.timeout "$tests_time"
done

# Then fast.
step bench-training 60 tests/training.test -test.run '^$' -test.bench 'Step/xla/(small|paper)/(denoiser|dynamics)$' -test.benchtime 2s
step bench-retrieval 30 tests/session.test -test.run '^$' -test.bench Peaks -test.benchtime 2s
step bench-iql 40 tests/learners.test -test.run '^$' -test.bench 'Updates/iql/xla/seeds_1' -test.benchtime "${UPDATES:-20000}x"

./diffstitch generate pointmaze --out "$out/maze.parquet" --episodes 2000 --seed 1 > "$out/generate.log" 2>&1
for preset in paper small; do
  step "train-$preset" 60 ./diffstitch train --data "$out/maze.parquet" --models "$out/$preset" --preset "$preset" --steps "${TRAIN_STEPS:-200}" --seed 1 --backend xla
  stitches=$([[ $preset == paper ]] && echo "${PAPER_STITCHES:-20000}" || echo "${SMALL_STITCHES:-50000}")
  for start in cold warm; do
    # shellcheck disable=SC2016 # the inner shell's
    step "augment-$preset-$start" 90 bash -c '"$@" > "$0"' "$out/augment-$preset-$start.json" \
      ./diffstitch augment --json --data "$out/maze.parquet" --models "$out/$preset" --out "$out/$preset-$start" \
      --pairing uniform --refine off --delta off --stitches "$stitches" --batch 512 --seed 1 --backend xla
  done
done
for preset in paper small; do
  if "$python" -c 'import torch' 2>/dev/null; then
    step "peer-$preset" 60 "$python" authors_peer.py --net "$preset" --json "$out/peer-$preset.json"
  fi
done
"$python" table.py "$out" | tee "$out/table.md"

#!/usr/bin/env bash
# Packs what measures a card into one archive, for a machine that has no Go and no
# network: the program, the tests and benchmarks of the models as binaries, the PyTorch
# peer, and the script that runs them all.
#
#   tools/gpu/bundle.sh ARCHIVE     (make gpu-bundle)
#
# There, with Python and jax's wheel for CUDA, whose plugin is used:
#
#   tar xJf ARCHIVE && gpu/run.sh
set -euo pipefail
archive=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/gpu/tests"

# Without symbols: they are two thirds of a binary.
flags=(-ldflags '-s -w')
go build "${flags[@]}" -o "$work/gpu/diffstitch" ./cmd/run
for package in diffusion edm cvae nets training session learners refinement; do
  go test -c "${flags[@]}" -o "$work/gpu/tests/$package.test" "./modelops/$package"
  # Golden files are read from the package's folder.
  mkdir -p "$work/gpu/tests/$package"
  if [[ -d modelops/$package/testdata ]]; then
    cp -r "modelops/$package/testdata" "$work/gpu/tests/$package/"
  fi
done
cp tools/gpu/run.sh tools/gpu/table.py tools/bench/authors_peer.py "$work/gpu/"
git rev-parse HEAD > "$work/gpu/revision"

# The binaries have most of their code in common, which one large dictionary finds.
mkdir -p "$(dirname "$archive")"
tar -C "$work" -c gpu | xz -T1 --lzma2=preset=6,dict=512MiB > "$archive"
echo "$archive: $(($(stat -c %s "$archive") / 1024 / 1024)) MiB, unpacked $(du -sm "$work/gpu" | cut -f1) MiB"

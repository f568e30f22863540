#!/bin/bash
# Gathers under .gpu/variants what run-variants.sh needs on the GPU machine: ONNX files and TensorRT's headers.
# usage: scripts/gpu/pack-variants.sh HEADERS_10      (the folder with NvInfer.h of TensorRT 10)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=.gpu/variants
rm -rf "$out"
mkdir -p "$out/headers"
cp -r "$1" "$out/headers/10"
work=$(mktemp -d)
node scripts/gpu/make-variants.ts "$work/part" --size part
node scripts/gpu/make-variants.ts "$work/full" --size full
tar cJf "$out/networks.tar.xz" -C "$work" part full
rm -rf "$work"
du -sh "$out"

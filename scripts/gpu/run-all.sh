#!/bin/bash
# On the GPU machine, everything after pack.mjs: tests and benchmarks of the TensorRT backend. Results go to $OUT.
# usage: run-all.sh LIB_DIR WORK_DIR STAGE...     stages: test, sdxl, sd1, image, rivals
#   LIB_DIR   TensorRT 10's libraries; WORK_DIR is kept between calls (Node, weights, plans, timing caches)
#   wanted in the tree: .gpu/run, build/Release, and at the first call .gpu/node0, .gpu/node1 and .gpu/onnxruntime (without it the self-test
#   after a build is skipped); for rivals: .whl with diffusers' wheel
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
lib=$1 work=$2
shift 2
export OUT=${OUT:-$work/out}
mkdir -p "$work" "$OUT"
export LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export TENSORRT_REDUX_LIBRARIES=$lib EMOJI_XL=$here/demo/emoji-xl GPU_REFERENCE=$here/.gpu/run/reference.safetensors
export GPU_TIMING_CACHE=$work/timing
node=$work/node
[ -x "$node" ] || { cat "$here"/.gpu/node0/node.xz "$here"/.gpu/node1/node.xz | xz -dc >"$node" && chmod +x "$node"; }
run=$here/.gpu/run
if [ ! -d "$work/modules" ] && [ -f "$here/.gpu/onnxruntime/onnxruntime.tar.xz" ]; then
  mkdir -p "$work/modules.tmp" && tar -xJf "$here/.gpu/onnxruntime/onnxruntime.tar.xz" -C "$work/modules.tmp" && mv "$work/modules.tmp" "$work/modules"
fi
export NODE_PATH=$work/modules

for stage in "$@"; do
  echo "== $stage"
  case $stage in
    test)
      GPU_WORK=$(mktemp -d "$work/gpu-tests-XXXX")
      export GPU_WORK
      # Each file is a process of its own; the reports are written by the runner, which waits for them to be complete.
      "$node" --test --test-concurrency=1 --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$OUT/gpu-tests.tap" "$run"/*.test.mjs || true
      rm -rf "$GPU_WORK"
      ;;
    sdxl | sd1)
      checkpoint=$work/$stage.safetensors
      [ -f "$checkpoint" ] || "$node" "$run/make-checkpoint.mjs" "$stage" "$checkpoint" --components unet
      "$node" "$run/bench-sdxl.mjs" "$checkpoint" "$work" --architecture "$stage" ${BENCH_OPTIONS:-} 2>&1 | tee "$OUT/bench-$stage.log" || true
      ;;
    image)
      checkpoint=$work/sdxl-whole.safetensors
      [ -f "$checkpoint" ] || "$node" "$run/make-checkpoint.mjs" sdxl "$checkpoint"
      # Without ONNX Runtime: the self-test of a full-size export is not what is measured.
      NODE_PATH= "$node" "$run/bench-image.mjs" "$checkpoint" "$work" 2>&1 | tee "$OUT/bench-image.log" || true
      ;;
    rivals)
      if ls "$here"/.whl/*.whl >/dev/null 2>&1; then
        python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$here"/.whl/*.whl
        export PYTHONPATH=$work/site
      fi
      python3 "$here/scripts/gpu/rivals.py" ${RIVAL_OPTIONS:-} --tokenizer "$here/assets/clip-tokenizer" 2>&1 | tee "$OUT/rivals.log" || true
      ;;
  esac
done
python3 - "$OUT" <<'PYTHON'
import glob, json, os, sys
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
    print(f"\n{os.path.basename(path)}")
    for row in json.load(open(path)):
        print(f"  {row['what']:72s} {row['value']:10.2f} {row['unit']}")
PYTHON

#!/bin/bash
# On the GPU machine: compiles the probe, makes the weights and times spellings of SDXL's UNet. Results go to $OUT.
# usage: run-variants.sh LIB_DIR WORK_DIR STAGE [VARIANT...]
#   LIB_DIR   TensorRT 10's libraries; WORK_DIR is kept between calls (weights, plans, timing caches)
#   STAGE     part     all variants (or those named) of the cut-down UNet, without and with refit individual
#             full     the named variants (default: base dynamic) of the whole UNet, refit individual, without a profile
#             profile  the named variant (default: base) of the whole UNet with its layers' times
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
lib=$1 work=$2 stage=$3
shift 3
out=${OUT:-$work/out}
mkdir -p "$work" "$out"
export LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
probe=$work/build/native/tensorrt/redux_trt_probe_trt10
if [ ! -x "$probe" ] || [ -n "${REBUILD:-}" ]; then
  cmake -S "$here" -B "$work/build" -G Ninja -DREDUX_ADDON=OFF -DREDUX_PROBE=ON "-DTENSORRT_HEADERS=$here/.gpu/variants/headers" >"$out/cmake.log"
  cmake --build "$work/build" --target redux_trt_probe_trt10 >>"$out/cmake.log" || { tail -30 "$out/cmake.log"; exit 1; }
fi
[ -d "$work/part" ] || tar xJf "$here/.gpu/variants/networks.tar.xz" -C "$work"
size=full
[ "$stage" = part ] && size=part
folder=$work/$size
[ -f "$folder/weights.bin" ] || python3 "$here/scripts/gpu/make_weights.py" "$folder"
names=("$@")
if [ ${#names[@]} = 0 ]; then
  case $stage in
    part) names=(base $(cd "$folder" && ls *.onnx | sed 's/.onnx$//' | grep -vx base)) ;;
    full) names=(base dynamic) ;;
    profile) names=(base) ;;
  esac
fi
files=("${names[@]/#/$folder/}")
files=("${files[@]/%/.onnx}")
shapes=$(cat "$folder/shapes.txt")
common=(--library "$lib" $shapes --results "$out/$stage.jsonl")
case $stage in
  part)
    "$probe" "${common[@]}" --timing-cache "$work/part.cache" --refit individual "${files[@]}" 2>&1 | tee "$out/part-refit.log" || true
    "$probe" "${common[@]}" --timing-cache "$work/part.cache" "${files[0]}" 2>&1 | tee "$out/part-fixed.log" || true
    ;;
  full)
    "$probe" "${common[@]}" --timing-cache "$work/full.cache" --refit individual "${files[@]}" 2>&1 | tee "$out/full.log" || true
    ;;
  profile)
    "$probe" "${common[@]}" --timing-cache "$work/full.cache" --refit individual --profile "${files[@]}" 2>&1 | tee "$out/profile.log" || true
    for name in "${names[@]}"; do
      python3 "$here/scripts/gpu/summarize-layers.py" "$folder/$name" | tee "$out/$name.summary.txt"
      xz -T0 -c "$folder/$name.layers-full.csv" >"$out/$name.layers-full.csv.xz"
    done
    ;;
esac

#!/usr/bin/env python3
"""Writes FOLDER/weights.bin as FOLDER/weights.json describes it (make-variants.ts): random numbers whose size keeps a network's
activations finite. usage: make_weights.py FOLDER   (needs numpy alone; 5 GB take some seconds)"""
import json
import sys

import numpy as np

POOL = 4_194_301  # A prime, so that rows do not repeat.


def as_bytes(values, dtype):
    if dtype == "BF16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype({"F16": np.float16, "F32": np.float32}[dtype])


def main(folder):
    with open(f"{folder}/weights.json") as file:
        description = json.load(file)
    dtype = description["dtype"]
    generator = np.random.default_rng(0)
    normal = generator.standard_normal(POOL, np.float32)
    pools = {}
    with open(f"{folder}/weights.bin", "wb") as file:
        for weight in description["weights"]:
            shape = weight["shape"]
            count = int(np.prod(shape))
            assert file.tell() == weight["offset"], weight["name"]
            if len(shape) == 1:
                centre = 1 if weight["name"].endswith("weight") else 0
                values = as_bytes(centre + 0.1 * generator.standard_normal(count, np.float32), dtype)
            else:
                fan_in = int(np.prod(shape[1:]))
                if fan_in not in pools:
                    pools[fan_in] = as_bytes(normal / np.sqrt(fan_in), dtype)
                start = int(generator.integers(POOL))
                values = np.take(pools[fan_in], np.arange(start, start + count), mode="wrap")
            file.write(values.tobytes())
    print(f"{folder}/weights.bin written")


if __name__ == "__main__":
    main(sys.argv[1])

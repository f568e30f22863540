#!/usr/bin/env python3
"""Groups a probe's FILE.layers.csv by kind of kernel, with what FILE.layers.json says of each layer.
usage: summarize-layers.py STEM...     (STEM.layers.csv, STEM.layers.json; writes STEM.layers-full.csv too)"""
import collections
import csv
import json
import re
import sys


def kind_of(name, layer):
    text = " ".join([name, str(layer.get("TacticName", "")), str(layer.get("LayerType", "")), str(layer.get("Metadata", ""))]).lower()
    tactic = str(layer.get("TacticName", "")).lower()
    if "mha" in text or "attention" in text:
        return "attention"
    if "conv" in tactic or "fprop" in tactic or "conv" in name.lower():
        return "convolution"
    if "gemm" in text or "_fc" in name.lower() or "matmul" in tactic:
        return "matrix product"
    if "softmax" in text:
        return "softmax"
    if re.search(r"reformat|copypackedkernel|copyvectorized|shuffle|transpose|__mye.*_tra|__myl_(tran|resh|move|cast|repl|copy)", text) and not re.search(r"add|mul|mean|sum", name.lower()):
        return "layout or copy"
    if "mean" in text or "norm" in text:
        return "normalization"
    return "element-wise"


def shape_of(value):
    return "x".join(map(str, value.get("Dimensions", []))) + " " + str(value.get("Format/Datatype", value.get("Format", "")))[:24]


def main(stem):
    with open(f"{stem}.layers.csv") as file:
        rows = [(row["layer"], float(row["milliseconds"])) for row in csv.DictReader(file)]
    layers = {}
    try:
        with open(f"{stem}.layers.json") as file:
            for layer in json.load(file).get("Layers", []):
                if isinstance(layer, dict):
                    layers[layer.get("Name", "")] = layer
    except (OSError, ValueError) as error:
        print(f"{stem}: no layer descriptions ({error})")
    total = sum(time for _, time in rows)
    kinds, patterns = collections.defaultdict(lambda: [0, 0.0]), collections.defaultdict(lambda: [0, 0.0])
    with open(f"{stem}.layers-full.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["milliseconds", "kind", "layer", "type", "tactic", "inputs", "outputs", "metadata"])
        for name, time in rows:
            layer = layers.get(name, {})
            kind = kind_of(name, layer)
            for table, key in ((kinds, kind), (patterns, (kind, re.sub(r"\d+", "#", name)[:60]))):
                table[key][0] += 1
                table[key][1] += time
            writer.writerow(
                [
                    f"{time:.5f}", kind, name[:200], layer.get("LayerType", ""), str(layer.get("TacticName", ""))[:160],
                    "; ".join(map(shape_of, layer.get("Inputs", []))), "; ".join(map(shape_of, layer.get("Outputs", []))),
                    str(layer.get("Metadata", ""))[:300],
                ]
            )
    print(f"\n{stem}: {total:.3f} ms in {len(rows)} layers")
    for kind, (count, time) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        print(f"  {kind:16s} {count:5d} {time:8.3f} ms {100 * time / total:5.1f} %")
    print("  the most costly patterns of names:")
    for (kind, pattern), (count, time) in sorted(patterns.items(), key=lambda item: -item[1][1])[:24]:
        print(f"    {time:8.3f} ms {count:5d} {kind:14s} {pattern}")
    print("  the most costly layers:")
    for name, time in sorted(rows, key=lambda row: -row[1])[:16]:
        layer = layers.get(name, {})
        print(f"    {time:8.3f} ms {name[:70]:70s} {str(layer.get('TacticName', ''))[:80]}")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)

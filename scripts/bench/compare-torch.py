"""Times a UNet's step in this project against diffusers' UNet in PyTorch on the CPU: fp32, the same inputs' shapes and thread count.

usage: python compare-torch.py BUNDLE [--size PIXELS] [--batch N] [--steps N] [--pairs N] [--threads N] [--node node]

Needs torch and diffusers, and dist/cli.js (`npm run build`). The bundle is of SD 1.x or SDXL's layout; PyTorch's weights are random, which
changes nothing about the time. Each pair is a fresh process of each, one after the other; the ratio of each pair is what counts on a
machine that does other things too. Prints Markdown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def unet_arguments(unet):
    """diffusers' configuration of a UNet from the description in engine.json."""
    levels = unet["levels"]
    depths = [max(level["up"]) for level in levels]
    widths = [level["width"] for level in levels]
    heads = unet["heads"]
    counts = [width // heads["width"] if "width" in heads else heads["count"] for width in widths]
    arguments = {
        "in_channels": unet["inChannels"],
        "out_channels": unet["outChannels"],
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "layers_per_block": len(levels[0]["down"]),
        "transformer_layers_per_block": [depth or 1 for depth in depths],
        "cross_attention_dim": unet["contextWidth"],
        "attention_head_dim": counts,
        "use_linear_projection": unet["linearProjections"],
    }
    if unet["middle"]["depth"] != (depths[-1] or 1):
        raise SystemExit("The UNet's middle block has another depth than diffusers' configuration can say.")
    if unet["admWidth"]:
        arguments |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": unet["admWidth"],
        }
    return arguments


def time_torch(unet, options):
    """Median milliseconds of a step, in this process."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = UNet2DConditionModel(**unet_arguments(unet)).eval()
    sample = torch.randn(options.batch, unet["inChannels"], options.size // 8, options.size // 8)
    context = torch.randn(options.batch, 77, unet["contextWidth"])
    added = None
    if unet["admWidth"]:
        pooled = torch.randn(options.batch, unet["admWidth"] - 6 * 256)
        added = {"text_embeds": pooled, "time_ids": torch.full((options.batch, 6), float(options.size))}
    times = []
    with torch.inference_mode():
        for step in range(3 + options.steps):
            started = time.perf_counter()
            model(sample, torch.full((options.batch,), 500), context, added_cond_kwargs=added)
            if step >= 3:
                times.append((time.perf_counter() - started) * 1000)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"median": statistics.median(times), "parameters": parameters, "torch": torch.__version__}


def torch_in_its_own_process(options):
    command = [sys.executable, __file__, *sys.argv[1:], "--torch"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def time_redux(options):
    """Median milliseconds of a step by `tensorrt-redux bench`."""
    size = str(options.size)
    command = [options.node, ROOT / "dist" / "cli.js", "bench", options.bundle, "--json", "--steps", str(options.steps)]
    command += ["--batch", str(options.batch), "--width", size, "--height", size]
    # ONNX Runtime takes one thread a core that the process may use.
    cores = list(os.sched_getaffinity(0))[: options.threads]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    ).stdout
    return json.loads(output.splitlines()[-1])["stepMilliseconds"]["median"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--node", default="node")
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unet = json.loads((Path(options.bundle) / "engine.json").read_text())["configuration"]["unet"]
    if options.torch:
        print(json.dumps(time_torch(unet, options)))
        return
    print("| pair | TensorRT Redux | PyTorch | ratio |\n| --- | --- | --- | --- |")
    ratios, ours, theirs = [], [], []
    for pair in range(options.pairs):
        ours.append(time_redux(options))
        rival = torch_in_its_own_process(options)
        theirs.append(rival["median"])
        ratios.append(ours[-1] / theirs[-1])
        print(f"| {pair + 1} | {ours[-1]:.1f} ms | {theirs[-1]:.1f} ms | {ratios[-1]:.2f} |", flush=True)
    print(f"| median | {statistics.median(ours):.1f} ms | {statistics.median(theirs):.1f} ms | {statistics.median(ratios):.2f} |")
    print(f"\nPyTorch {rival['torch']}, {rival['parameters']:,} parameters, {options.threads} threads, batch {options.batch}.")


main()

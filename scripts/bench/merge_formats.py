"""The rival's side of merge-formats.ts: lycoris-lora reads a LoRA and merges it into layers that are in memory, in fp32.

usage: python merge_formats.py BASE.safetensors LORA.safetensors        prints one JSON object
"""

import json
import resource
import sys
import time

import torch
from lycoris.modules import get_module, make_module
from safetensors.torch import load_file
from torch import nn

PREFIX = "model.diffusion_model."


def layer_of(weight):
    if weight.dim() == 2:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    else:
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=False, device="meta")
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    return layer


def seconds():
    """Processor time of all threads: what else the machine does is not in it."""
    return time.process_time()


def main():
    base_file, lora_file = sys.argv[1:]
    layers = {
        "lora_unet_" + name[len(PREFIX) : -len(".weight")].replace(".", "_"): layer_of(weight)
        for name, weight in load_file(base_file).items()
    }
    with torch.inference_mode():
        started = seconds()
        state = load_file(lora_file)
        modules = []
        for name, layer in layers.items():
            kind, parameters = get_module(state, name)
            if kind is not None:
                modules.append(make_module(kind, parameters, name, layer))
        loaded = seconds()
        for module in modules:
            module.merge_to(1.0)
        merged = seconds()
    assert modules and all(module is not None for module in modules)
    print(
        json.dumps(
            {
                "delta": (loaded - started) * 1000,
                "merge": (merged - loaded) * 1000,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "layers": len(modules),
                "version": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads",
            }
        )
    )


main()

#!/usr/bin/env python3
"""What SDXL-base costs in PyTorch on this GPU: the UNet's step eager and compiled, and, where diffusers can be imported, LoRA changes and a
whole 20-step image. Random weights; the times do not depend on them. Prints a table and writes $OUT/rivals.json.

usage: rivals.py [--image] [--lora] [--tokenizer FOLDER]     (diffusers 0.42 travels as a wheel; it is pure Python)
"""
import argparse
import json
import os
import statistics
import time

import torch

UNET = dict(
    sample_size=128,
    in_channels=4,
    out_channels=4,
    block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
    use_linear_projection=True,
)
VAE = dict(
    block_out_channels=(128, 256, 512, 512),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=2,
    latent_channels=4,
    sample_size=1024,
    scaling_factor=0.13025,
)
rows = []


def report(what, value, unit="ms"):
    rows.append({"what": what, "value": value, "unit": unit})
    print(f"{what:64s} {value:10.1f} {unit}", flush=True)


def make_unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.float16)
        unet = UNet2DConditionModel(**UNET)
        torch.set_default_dtype(torch.float32)
    return unet.half().eval().to(memory_format=torch.channels_last)


def step_times(unet, inputs, count=30):
    times = []
    with torch.inference_mode():
        for index in range(count + 5):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            unet(**inputs, return_dict=False)
            end.record()
            torch.cuda.synchronize()
            if index >= 5:
                times.append(begin.elapsed_time(end))
    return statistics.median(times)


def unet_inputs():
    generator = torch.Generator("cuda").manual_seed(0)
    random = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.float16, generator=generator)
    condition = {"text_embeds": random(2, 1280), "time_ids": torch.full((2, 6), 1024.0, device="cuda", dtype=torch.float16)}
    return dict(sample=random(2, 4, 128, 128), timestep=torch.tensor(500, device="cuda"), encoder_hidden_states=random(2, 77, 2048), added_cond_kwargs=condition)


def seconds(work, count=5):
    times = []
    for _ in range(count):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def time_lora(unet):
    """What diffusers' fuse_lora does, without peft's bookkeeping: the best that PyTorch can do with factors in the host's memory."""
    weights = [p for n, p in unet.named_parameters() if p.ndim >= 2 and n.endswith("weight")]
    shapes = [(p.shape[0], p[0].numel()) for p in weights]
    factors = [(torch.randn(r, 32).half().pin_memory(), torch.randn(32, c).half().pin_memory()) for r, c in shapes]
    bases = [p.detach().clone() for p in weights]

    def switch():
        with torch.inference_mode():
            for weight, base, (up, down) in zip(weights, bases, factors):
                product = (up.to("cuda", non_blocking=True) @ down.to("cuda", non_blocking=True)).view_as(base)
                weight.copy_(base + product)

    report(f"PyTorch: merge of rank 32 into {len(weights)} weights, factors pinned", seconds(switch))


def make_tokenizer(folder):
    """CLIP's tokenizer from its merges: the vocabulary is the bytes, the bytes that end a word, the merges in order and two marks."""
    from transformers import CLIPTokenizer

    with open(f"{folder}/merges.txt", encoding="utf-8") as file:
        merges = [line.split() for line in file.read().split("\n") if line and not line.startswith("#version")]
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(byte) for byte in plain] + [chr(256 + index) for index in range(256 - len(plain))]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    with open("/tmp/vocab.json", "w", encoding="utf-8") as file:
        json.dump({token: index for index, token in enumerate(tokens)}, file)
    with open("/tmp/merges.txt", "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n")
    return CLIPTokenizer("/tmp/vocab.json", "/tmp/merges.txt", model_max_length=77)


def make_pipeline(unet, tokenizer_folder):
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    base = dict(vocab_size=49408, max_position_embeddings=77)
    small = CLIPTextConfig(**base, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu")
    large = CLIPTextConfig(**base, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu", projection_dim=1280)
    tokenizer = make_tokenizer(tokenizer_folder)
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1)
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(**VAE).half().cuda(),
        text_encoder=CLIPTextModel(small).half().cuda(),
        text_encoder_2=CLIPTextModelWithProjection(large).half().cuda(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def time_image(pipeline, what):
    def image():
        picture = pipeline("a photograph of an astronaut riding a horse", num_inference_steps=20, guidance_scale=7, height=1024, width=1024).images[0]
        picture.save("/tmp/rival.png")

    image()
    report(f"{what}: a 20-step 1024×1024 image, text to PNG", seconds(image, 5))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", action="store_true")
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--tokenizer", default="")
    options = parser.parse_args()
    try:
        import diffusers

        print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {torch.cuda.get_device_name()}")
    except ImportError as error:
        raise SystemExit(f"diffusers is needed (a pure Python wheel): {error}")
    unet, inputs = make_unet(), unet_inputs()
    report("PyTorch eager: step", step_times(unet, inputs))
    if options.lora:
        time_lora(unet)
    if options.image:
        time_image(make_pipeline(unet, options.tokenizer), "diffusers eager")
    if not options.no_compile:
        start = time.perf_counter()
        compiled = torch.compile(unet, mode="max-autotune-no-cudagraphs" if os.environ.get("MAX_AUTOTUNE") else "default", fullgraph=True)
        with torch.inference_mode():
            compiled(**inputs, return_dict=False)
            torch.cuda.synchronize()
        report("PyTorch compiled: the first step, compilation included", time.perf_counter() - start, "s")
        report("PyTorch compiled: step", step_times(compiled, inputs))
        if options.image:
            time_image(make_pipeline(compiled, options.tokenizer), "diffusers compiled")
    with open(os.path.join(os.environ.get("OUT", "."), "rivals.json"), "w") as file:
        json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()

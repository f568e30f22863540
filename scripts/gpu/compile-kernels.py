#!/usr/bin/env python3
"""Compiles native/cuda/kernels/kernels.cu to kernels.ptx beside it, which is committed: nobody who builds or runs the add-on needs CUDA.

usage: compile-kernels.py [--check]     (--check: fails where the committed PTX is not of this source)

Needs NVRTC 11.8 (pip install nvidia-cuda-nvrtc-cu11==11.8.89; NVRTC_LIBRARY may name libnvrtc): its PTX, of version 7.8, is taken by every
driver since 520. The target is compute_75, the oldest architecture that TensorRT 10 and TensorRT-RTX run on.
"""
import ctypes
import glob
import hashlib
import os
import re
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "native", "cuda", "kernels")
OPTIONS = [b"--gpu-architecture=compute_75", b"--std=c++17", b"--fmad=true"]


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def load_nvrtc():
    places = [os.environ.get("NVRTC_LIBRARY", "")]
    for folder in sys.path:
        places += glob.glob(os.path.join(folder, "nvidia", "cuda_nvrtc", "lib", "libnvrtc.so.11*"))
    for place in filter(os.path.exists, places):
        return ctypes.CDLL(place)
    sys.exit("There is no libnvrtc of CUDA 11.8: pip install nvidia-cuda-nvrtc-cu11==11.8.89, or set NVRTC_LIBRARY.")


def compile_source(source, header):
    nvrtc = load_nvrtc()

    def check(result):
        if result != 0:
            sys.exit(f"NVRTC failed with {result}.")

    program = ctypes.c_void_p()
    headers, names = (ctypes.c_char_p * 1)(header.encode()), (ctypes.c_char_p * 1)(b"kernel_types.h")
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 1, headers, names))
    result = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), (ctypes.c_char_p * len(OPTIONS))(*OPTIONS))
    size = ctypes.c_size_t()
    check(nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
    log = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetProgramLog(program, log))
    if result != 0:
        sys.exit(log.value.decode())
    check(nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetPTX(program, ptx))
    return ptx.value.decode()


def main():
    source, header = read("kernels.cu"), read("kernel_types.h")
    digest = hashlib.sha256((source + header).encode()).hexdigest()
    line = f"// Made by scripts/gpu/compile-kernels.py of sources with SHA-256 {digest}\n"
    if "--check" in sys.argv:
        if not read("kernels.ptx").startswith(line):
            sys.exit("native/cuda/kernels/kernels.ptx is not of these sources: run scripts/gpu/compile-kernels.py.")
        return
    ptx = re.sub(r"\n\s*//[^\n]*", "", compile_source(source, header))
    with open(os.path.join(FOLDER, "kernels.ptx"), "w", encoding="utf-8") as file:
        file.write(line + ptx.strip() + "\n")
    print(f"kernels.ptx: {len(ptx)} characters, {ptx.count('.entry')} kernels")


if __name__ == "__main__":
    main()

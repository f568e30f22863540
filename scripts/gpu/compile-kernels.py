#!/usr/bin/env python3
"""Compiles every native/cuda/kernels/NAME.cu to NAME.ptx beside it, which is committed: nobody who builds or runs the add-on needs CUDA.

usage: compile-kernels.py [--check] [NAME …]     (--check: fails where a committed PTX is not of its sources; NAME: these alone)

Needs NVRTC 11.8 (pip install nvidia-cuda-nvrtc-cu11==11.8.89; NVRTC_LIBRARY may name libnvrtc): its PTX, of version 7.8, is taken by every
driver since 520. A source is compiled for the compute capability that it defines as REDUX_COMPUTE_CAPABILITY; for 7.5 (numbers.h), the oldest one that
TensorRT 10 and TensorRT-RTX run on, where it says nothing.
"""
import ctypes
import glob
import hashlib
import os
import re
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "native", "cuda", "kernels")
OPTIONS = ["--std=c++17", "--fmad=true"]


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def included(source):
    """The headers that a source includes, and those that these include: {name: text}, in the order in which they are met."""
    headers = {}
    waiting = re.findall(r'^#include "([^"]+)"', source, re.MULTILINE)
    while waiting:
        name = waiting.pop(0)
        if name not in headers:
            headers[name] = read(name)
            waiting += re.findall(r'^#include "([^"]+)"', headers[name], re.MULTILINE)
    return headers


def capability_of(source, headers):
    """The compute capability, times ten: the first that the source or one of its headers defines."""
    return re.search(r"^#define REDUX_COMPUTE_CAPABILITY (\d+)$", "\n".join([source, *headers.values()]), re.MULTILINE)[1]


def load_nvrtc():
    places = [os.environ.get("NVRTC_LIBRARY", "")]
    for folder in sys.path:
        places += glob.glob(os.path.join(folder, "nvidia", "cuda_nvrtc", "lib", "libnvrtc.so.11*"))
    for place in filter(os.path.exists, places):
        return ctypes.CDLL(place)
    sys.exit("There is no libnvrtc of CUDA 11.8: pip install nvidia-cuda-nvrtc-cu11==11.8.89, or set NVRTC_LIBRARY.")


def compile_source(name, source, headers):
    nvrtc = load_nvrtc()

    def check(result):
        if result != 0:
            sys.exit(f"NVRTC failed with {result}.")

    def strings(values):
        return (ctypes.c_char_p * len(values))(*(value.encode() for value in values))

    program = ctypes.c_void_p()
    texts, names = strings(list(headers.values())), strings(list(headers))
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), f"{name}.cu".encode(), len(headers), texts, names))
    options = [f"--gpu-architecture=compute_{capability_of(source, headers)}", *OPTIONS]
    result = nvrtc.nvrtcCompileProgram(program, len(options), strings(options))
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


def make(name, only_check):
    source = read(f"{name}.cu")
    headers = included(source)
    digest = hashlib.sha256((source + "".join(headers.values())).encode()).hexdigest()
    line = f"// Made by scripts/gpu/compile-kernels.py of sources with SHA-256 {digest}\n"
    if only_check:
        if not read(f"{name}.ptx").startswith(line):
            sys.exit(f"native/cuda/kernels/{name}.ptx is not of its sources: run scripts/gpu/compile-kernels.py.")
        return
    ptx = re.sub(r"\n\s*//[^\n]*", "", compile_source(name, source, headers))
    with open(os.path.join(FOLDER, f"{name}.ptx"), "w", encoding="utf-8") as file:
        file.write(line + ptx.strip() + "\n")
    print(f"{name}.ptx: {len(ptx)} characters, {ptx.count('.entry')} kernels")


def main():
    arguments = sys.argv[1:]
    names = [argument for argument in arguments if argument != "--check"]
    every = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob(os.path.join(FOLDER, "*.cu")))
    for name in names or every:
        make(name, "--check" in arguments)


if __name__ == "__main__":
    main()

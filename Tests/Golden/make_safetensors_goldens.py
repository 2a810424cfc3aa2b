"""Writes the safetensors files that the tests of the reader and the writer compare with.

Set up:  python3 -m venv venv && venv/bin/pip install safetensors==0.8.0 torch==2.13.0 numpy==2.4.6
Run:     venv/bin/python Tests/Golden/make_safetensors_goldens.py

fp32.safetensors   fp32 tensors alone, a scalar, empty ones and names that need escapes among them: a
                   writer that is given the same tensors must write the same bytes.
types.safetensors  one tensor of every element type that torch and the format share.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent.parent / "CheckpointsTests" / "Golden"

SHAPES = {
    "wte.weight": [7, 3],
    "h.0.attn.c_attn.bias": [9],
    "h.10.ln_1.weight": [3],
    "h.2.ln_1.weight": [3],
    "scalar": [],
    "empty": [0],
    "empty.matrix": [4, 0, 5],
    "größe \"quoted\" \\ tab\t bell\x07 \U0001f600": [1, 2, 1],
}

TYPES = [
    torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.uint16,
    torch.int16, torch.float16, torch.bfloat16, torch.uint32, torch.int32, torch.float32,
    torch.uint64, torch.int64, torch.float64, torch.complex64,
]


def fp32():
    """Element j of the i-th tensor is i + (j - 3) / 4."""
    return {
        name: (i + (torch.arange(torch.Size(shape).numel(), dtype=torch.float32) - 3) / 4)
        .reshape(shape)
        for i, (name, shape) in enumerate(SHAPES.items())
    }


def types():
    """Each holds 0, 1, 1: numbers that every type has."""
    return {str(type).split(".")[1]: torch.tensor([0, 1, 1]).to(type) for type in TYPES}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    save_file(fp32(), FOLDER / "fp32.safetensors", metadata={"format": "pt"})
    save_file(types(), FOLDER / "types.safetensors")

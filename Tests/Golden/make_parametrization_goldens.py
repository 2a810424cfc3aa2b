#!/usr/bin/env python3
"""The golden files of runs with muP and CompleteP: a GPT-2 and AdamW in PyTorch, in double.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.13.0 safetensors==0.8.0 numpy
Run:     .venv/bin/python Tests/Golden/make_parametrization_goldens.py

The model has the published form (2203.03466; 2505.01618, table 1, alpha = 1): it divides the logits by
the width's ratio and, in CompleteP, each branch by the depth's ratio. Lockstep moves these constants
into the parameters. The files hold the initial parameters in Lockstep's form, `tokens`
(steps, B, T + 1), and each step's `losses`. Epsilon is large, so that its factors matter.
"""
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent.parent / "TrainingTests" / "Golden"
LAYERS, HEADS, WIDTH, CONTEXT, VOCABULARY, BATCH = 4, 4, 32, 12, 19, 4
BASE_WIDTH, BASE_LAYERS = 8, 2
STEPS, WARMUP, PEAK, LOWEST, DECAY, EPSILON = 30, 5, 3e-2, 3e-3, 0.1, 1e-3


def rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return LOWEST + 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * (PEAK - LOWEST)


def initial():
    shapes = {"wte.weight": (VOCABULARY, WIDTH), "wpe.weight": (CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        h = f"h.{layer}."
        for norm in ("ln_1", "ln_2"):
            shapes |= {h + norm + ".weight": (WIDTH,), h + norm + ".bias": (WIDTH,)}
        for name, rows, columns in (
            ("attn.c_attn", WIDTH, 3 * WIDTH), ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", WIDTH, 4 * WIDTH), ("mlp.c_proj", 4 * WIDTH, WIDTH),
        ):
            shapes |= {h + name + ".weight": (rows, columns), h + name + ".bias": (columns,)}
    shapes |= {"ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    return {
        name: (0.1 * torch.randn(shape) + (1.0 if "ln_" in name and name.endswith("weight") else 0.0))
        .double().requires_grad_()
        for name, shape in shapes.items()
    }


def logits(p, tokens, m, l):
    length = tokens.shape[1]
    x = p["wte.weight"][tokens] + p["wpe.weight"][:length]
    for layer in range(LAYERS):
        h = f"h.{layer}."
        norm = lambda name, x: F.layer_norm(x, (WIDTH,), p[h + name + ".weight"], p[h + name + ".bias"])
        product = lambda name, x: x @ p[h + name + ".weight"] + p[h + name + ".bias"]
        q, k, v = product("attn.c_attn", norm("ln_1", x)).split(WIDTH, dim=2)
        heads = lambda t: t.view(*t.shape[:2], HEADS, -1).transpose(1, 2)
        a = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True)
        x = x + product("attn.c_proj", a.transpose(1, 2).flatten(2)) / l
        x = x + product("mlp.c_proj", F.gelu(product("mlp.c_fc", norm("ln_2", x)), approximate="tanh")) / l
    x = F.layer_norm(x, (WIDTH,), p["ln_f.weight"], p["ln_f.bias"])
    return x @ p["wte.weight"].T / m


def make(name, l):
    torch.manual_seed(1)
    m = WIDTH / BASE_WIDTH
    p = initial()
    groups = []
    for key, value in p.items():
        is_inner = key.startswith("h.")
        factor = 1 / m if is_inner and value.dim() == 2 else 1.0
        groups.append({
            "params": [value], "factor": factor, "eps": EPSILON / m / (l if is_inner else 1),
            "weight_decay": DECAY / factor if value.dim() == 2 else 0.0})
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95))
    tensors = {}
    for key, value in p.items():
        is_last = ".c_proj." in key
        scale = 1 / m if key.startswith("ln_f") else 1 / l if is_last else 1.0
        tensors[key] = (value.detach() * scale).float().clone()
        # The oracle starts from the rounded values.
        value.data = tensors[key].double() / scale
    tokens = torch.cumsum(torch.randint(1, 4, (STEPS, BATCH, CONTEXT + 1)), dim=2) % VOCABULARY
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step) * group["factor"]
        out = logits(p, tokens[step, :, :-1], m, l)
        loss = F.cross_entropy(out.flatten(0, 1), tokens[step, :, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    tensors["tokens"] = tokens.float()
    tensors["losses"] = torch.tensor(losses)
    metadata = {
        "layers": LAYERS, "heads": HEADS, "width": WIDTH, "context_length": CONTEXT,
        "vocabulary_size": VOCABULARY, "batch": BATCH, "steps": STEPS, "warmup_steps": WARMUP,
        "learning_rate": PEAK, "minimum_learning_rate": LOWEST, "clip_norm": 0, "weight_decay": DECAY,
        "epsilon": EPSILON, "base_width": BASE_WIDTH}
    if name == "completep":
        metadata["base_layers"] = BASE_LAYERS
    save_file(tensors, FOLDER / f"{name}.safetensors", {key: str(value) for key, value in metadata.items()})
    print(name, losses[0], losses[-1])


if __name__ == "__main__":
    make("mup", 1.0)
    make("completep", LAYERS / BASE_LAYERS)

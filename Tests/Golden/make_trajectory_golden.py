#!/usr/bin/env python3
"""The golden file of a whole training run: Hugging Face's GPT-2 and AdamW in PyTorch, in double.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.13.0+cpu transformers==5.23.0 safetensors==0.8.0 numpy
Run:     .venv/bin/python Tests/Golden/make_trajectory_golden.py

It holds the initial parameters under their own names, `tokens` (steps, B, T + 1), and what each step
gave: `losses` and `norms` (before clipping). Its metadata holds the configuration. The recipe is
nanoGPT's: AdamW with decay on matrices alone, clipping, warmup and a cosine.
"""
import math
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

PATH = pathlib.Path(__file__).parent.parent / "TrainingTests" / "Golden" / "trajectory.safetensors"
LAYERS, HEADS, WIDTH, CONTEXT, VOCABULARY, BATCH = 2, 2, 16, 12, 19, 4
STEPS, WARMUP, PEAK, LOWEST, CLIP, DECAY = 30, 5, 3e-2, 3e-3, 0.5, 0.1


def rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return LOWEST + 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * (PEAK - LOWEST)


def main():
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0))
    tensors = {key.removeprefix("transformer."): value.detach().clone()
               for key, value in model.named_parameters()}
    model.double()  # The oracle's own rounding must not count against us.
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=PEAK, betas=(0.9, 0.95), eps=1e-8)
    # A few symbols follow one another more often, so that there is something to learn.
    tokens = torch.cumsum(torch.randint(1, 4, (STEPS, BATCH, CONTEXT + 1)), dim=2) % VOCABULARY
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        logits = model(tokens[step, :, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[step, :, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        losses.append(loss.item())
        optimizer.step()
    tensors["tokens"] = tokens.float()
    tensors["losses"] = torch.tensor(losses)
    tensors["norms"] = torch.tensor(norms)
    save_file(tensors, PATH, metadata={
        "layers": str(LAYERS), "heads": str(HEADS), "width": str(WIDTH),
        "context_length": str(CONTEXT), "vocabulary_size": str(VOCABULARY), "batch": str(BATCH),
        "steps": str(STEPS), "warmup_steps": str(WARMUP), "learning_rate": str(PEAK),
        "minimum_learning_rate": str(LOWEST), "clip_norm": str(CLIP), "weight_decay": str(DECAY)})
    print(losses[0], losses[-1], norms[0], norms[-1])


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    main()

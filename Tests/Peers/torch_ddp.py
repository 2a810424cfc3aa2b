#!/usr/bin/env python3
"""Measures training steps of GPT-2 and LLaMA in PyTorch, data-parallel by DistributedDataParallel over gloo.

It is what `lockstep bench step` is compared with (see `compare`), on the same shapes: embeddings, pre-norm
blocks with fused QKV, causal attention by scaled_dot_product_attention and tanh GELU, or RMSNorm, rotary positions and
SwiGLU, a head tied to the token embedding, cross-entropy, clipping to norm 1 and fused AdamW. bf16 is PyTorch's autocast.

Each rank trains on one micro-batch of random tokens. Two steps warm up; the median of the others counts. The last
line of the output is JSON, with the field names of `lockstep bench step --json`.
"""
import argparse
import json
import resource
import tempfile
import time
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn import functional

WARMUP_STEPS = 2


@dataclass(frozen=True)
class Size:
    """A model and the sequences that a rank trains on in a step."""

    layers: int
    heads: int
    width: int
    positions: int
    vocabulary: int
    sequences: int
    length: int
    hidden: int = 0  # The hidden width of a LLaMA; 0 for a GPT-2.


SIZES = {
    "gpt2-124m": Size(12, 12, 768, 1024, 50304, sequences=4, length=256),
    "gpt2-124m-t1024": Size(12, 12, 768, 1024, 50304, sequences=1, length=1024),
    "llama-124m": Size(12, 12, 768, 1024, 50304, sequences=4, length=256, hidden=2048),
    "baby": Size(6, 6, 384, 256, 65, sequences=16, length=256),
    "char": Size(4, 4, 128, 64, 65, sequences=12, length=64),
}


class Attention(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.heads = size.heads
        self.project_in = nn.Linear(size.width, 3 * size.width)
        self.project_out = nn.Linear(size.width, size.width)

    def forward(self, x):  # (B, T, C)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D)
            for part in self.project_in(x).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.project_out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.attention_norm = nn.LayerNorm(size.width)
        self.attention = Attention(size)
        self.feed_forward_norm = nn.LayerNorm(size.width)
        self.feed_forward = nn.Sequential(
            nn.Linear(size.width, 4 * size.width),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * size.width, size.width),
        )

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class GPT(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.positions, size.width)
        self.blocks = nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.final_norm = nn.LayerNorm(size.width)
        residual_scale = (2 * size.layers) ** -0.5
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                into_residual = name.endswith(("project_out.weight", "feed_forward.2.weight"))
                nn.init.normal_(parameter, std=0.02 * (residual_scale if into_residual else 1))

    def forward(self, inputs, targets):  # (B, T) each; the mean loss
        places = torch.arange(inputs.shape[1])
        x = self.final_norm(self.blocks(self.tokens(inputs) + self.positions(places)))
        logits = functional.linear(x, self.tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class LlamaAttention(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.heads = size.heads
        self.project_in = nn.Linear(size.width, 3 * size.width, bias=False)
        self.project_out = nn.Linear(size.width, size.width, bias=False)

    def forward(self, x, cosines, sines):  # (B, T, C), (T, D), (T, D)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D)
            for part in self.project_in(x).chunk(3, dim=-1)
        )
        query, key = (turn(part, cosines, sines) for part in (query, key))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.project_out(mixed.transpose(1, 2).flatten(2))


def turn(x, cosines, sines):
    """Rotates the pairs (i, i + D/2) of the channels."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


class LlamaBlock(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.attention_norm = nn.RMSNorm(size.width, eps=1e-5)
        self.attention = LlamaAttention(size)
        self.feed_forward_norm = nn.RMSNorm(size.width, eps=1e-5)
        self.gate_up = nn.Linear(size.width, 2 * size.hidden, bias=False)
        self.project_out = nn.Linear(size.hidden, size.width, bias=False)

    def forward(self, x, cosines, sines):
        x = x + self.attention(self.attention_norm(x), cosines, sines)
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.project_out(functional.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.blocks = nn.ModuleList(LlamaBlock(size) for _ in range(size.layers))
        self.final_norm = nn.RMSNorm(size.width, eps=1e-5)
        width = size.width // size.heads
        frequencies = 10000.0 ** (-torch.arange(0, width, 2) / width)
        angles = torch.arange(size.positions)[:, None] * torch.cat((frequencies, frequencies))
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)
        residual_scale = (2 * size.layers) ** -0.5
        for name, parameter in self.named_parameters():
            if "norm" not in name:
                into_residual = name.endswith("project_out.weight")
                nn.init.normal_(parameter, std=0.02 * (residual_scale if into_residual else 1))

    def forward(self, inputs, targets):  # (B, T) each; the mean loss
        x = self.tokens(inputs)
        length = inputs.shape[1]
        for block in self.blocks:
            x = block(x, self.cosines[:length], self.sines[:length])
        logits = functional.linear(self.final_norm(x), self.tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def flops_per_token(model: nn.Module, size: Size) -> float:
    """6 N + 12 L C T, where N leaves the position table out (nanoGPT; Chowdhery et al. 2022, appendix B)."""
    counted = sum(p.numel() for p in model.parameters())
    if not size.hidden:
        counted -= model.positions.weight.numel()
    return 6 * counted + 12 * size.layers * size.width * size.length


def train(model, wrapped, size: Size, steps: int, rank: int, precision: str):
    """Takes the steps and returns the seconds of each one after the warmup, and the last loss."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    random = torch.Generator().manual_seed(rank + 1)
    text = torch.randint(size.vocabulary, (size.sequences, size.length + 1), generator=random)
    inputs, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
    seconds = []
    for _ in range(WARMUP_STEPS + steps):
        before = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = wrapped(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last_loss = loss.item()
        seconds.append(time.perf_counter() - before)
    return seconds[WARMUP_STEPS:], last_loss


def measure(rank: int, options, meeting_place: str):
    """Runs one rank's part of the measurement; rank 0 prints the result."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(1337)
    size = SIZES[options.size]
    model = wrapped = Llama(size) if size.hidden else GPT(size)
    if options.ranks > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting_place}", rank=rank, world_size=options.ranks
        )
        wrapped = nn.parallel.DistributedDataParallel(model)
    seconds, loss = train(model, wrapped, size, options.steps, rank, options.precision)
    median = sorted(seconds)[len(seconds) // 2]
    tokens = size.sequences * size.length
    if rank == 0:
        report = {
            "peer": f"torch {torch.__version__} ddp-gloo",
            "size": options.size,
            "precision": options.precision,
            "ranks": options.ranks,
            "threads_per_rank": options.threads,
            "step_seconds": round(median, 5),
            "tokens_per_second": round(tokens * options.ranks / median, 1),
            "gflops_per_rank": round(flops_per_token(model, size) * tokens / median / 1e9, 1),
            # ru_maxrss is in KiB on Linux.
            "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
            "loss": round(loss, 4),
        }
        print(json.dumps(report), flush=True)
    if options.ranks > 1:
        distributed.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="gpt2-124m")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="threads of each rank")
    parser.add_argument("--steps", type=int, default=5, help="steps to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meeting_place = f"{folder}/ranks"
        if options.ranks == 1:
            measure(0, options, meeting_place)
        else:
            torch.multiprocessing.spawn(
                measure, args=(options, meeting_place), nprocs=options.ranks
            )


if __name__ == "__main__":
    main()

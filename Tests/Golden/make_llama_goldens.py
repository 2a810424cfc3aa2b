#!/usr/bin/env python3
"""Golden files for LLaMA: Hugging Face's LlamaForCausalLM in PyTorch, small sizes and odd shapes.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install torch==2.13.0+cpu transformers==5.23.0 safetensors==0.8.0 numpy
Run:     .venv/bin/python Tests/Golden/make_llama_goldens.py

The files are like those of make_model_goldens.py, with an "architecture" in their metadata.
"""
import math

import torch
from make_model_goldens import FOLDER, save
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

# name: layers, heads, kv_heads, width, hidden_width, context, vocabulary, batch, ignored targets, tied,
# theta, (factor, low_frequency, high_frequency, original_context) or None, norm_epsilon
CASES = {
    "llama-odd": (2, 3, 1, 18, 23, 7, 13, 3, 0, False, 1e4, None, 1e-5),
    "llama-long": (1, 4, 2, 24, 40, 150, 67, 1, 0, False, 5e5, (4.0, 1.0, 4.0, 64), 1e-5),
    "llama-tied": (2, 2, 2, 16, 32, 10, 21, 2, 5, True, 1e4, None, 1e-6),
}


def frequencies(width, theta, scaling):
    """Returns the rotary frequencies in double precision (`rope_type` "default" or "llama3")."""
    result = []
    for pair in range(width // 2):
        frequency = theta ** (-2 * pair / width)
        if scaling:
            factor, low, high, original = scaling
            wavelength = 2 * math.pi / frequency
            if wavelength > original / low:
                frequency /= factor
            elif wavelength > original / high:
                smooth = (original / wavelength - low) / (high - low)
                frequency = (1 - smooth) * frequency / factor + smooth * frequency
        result.append(frequency)
    return torch.tensor(result, dtype=torch.float64)


def use_doubles(model, exact):
    """Computes rotary positions and norms in double precision, which Transformers does in fp32."""
    rotary = model.model.rotary_emb
    assert torch.allclose(rotary.inv_freq.double(), exact, rtol=1e-5, atol=0)

    def forward(x, position_ids):
        angles = position_ids[:, :, None].double() * exact
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    rotary.forward = forward

    def normalize(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)

    LlamaRMSNorm.forward = normalize


def make(name, layers, heads, kv_heads, width, hidden, context, vocabulary, batch, ignored, tied, theta,
         scaling, epsilon):
    torch.manual_seed(len(name))
    rope = {"rope_type": "default", "rope_theta": theta}
    if scaling:
        rope |= {"rope_type": "llama3", "factor": scaling[0], "low_freq_factor": scaling[1],
                 "high_freq_factor": scaling[2], "original_max_position_embeddings": scaling[3]}
    config = LlamaConfig(
        vocab_size=vocabulary, max_position_embeddings=context, hidden_size=width,
        intermediate_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, rms_norm_eps=epsilon, rope_parameters=rope,
        tie_word_embeddings=tied, attention_bias=False, mlp_bias=False, bos_token_id=0, eos_token_id=0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # Far from the initial values, so that every term matters.
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if "norm" in key else 0.0))
    use_doubles(model, frequencies(width // heads, theta, scaling))
    metadata = {"architecture": "llama", "layers": layers, "heads": heads, "kv_heads": kv_heads,
                "width": width, "hidden_width": hidden, "context_length": context,
                "vocabulary_size": vocabulary, "batch": batch, "tied_head": int(tied),
                "rope_theta": theta, "norm_epsilon": epsilon}
    if scaling:
        metadata |= dict(zip(["rope_factor", "rope_low_frequency", "rope_high_frequency",
                              "rope_original_context"], scaling))
    save(name, model, ignored, metadata)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        make(name, *case)

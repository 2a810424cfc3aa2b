#!/usr/bin/env python3
"""Golden files for tokenizers of several patterns and for learned merges, from Hugging Face's library.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install tokenizers==0.23.3
Run:     .venv/bin/python Tests/Golden/make_tokenizer_file_goldens.py

It writes into `Tests/DataTests/Golden`:

- `files.json`: some of the texts of `Tests/Peers/tokenizers`, small tokenizers with the patterns of GPT-2, Llama 3
  and Qwen 2, and the ids of the texts: `plain` with special tokens as text, `special` with special tokens found.
- `learned.json`: a text, and for each pattern the merges that the library learns from its first nine tenths.
"""
import importlib.machinery
import importlib.util
import json
import pathlib
import random
import sys
import tempfile

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "Tests" / "DataTests" / "Golden"
sys.path.append(str(ROOT / "Tests/Peers"))
loader = importlib.machinery.SourceFileLoader("peer", str(ROOT / "Tests/Peers/tokenizers"))
peer = importlib.util.module_from_spec(importlib.util.spec_from_loader("peer", loader))
loader.exec_module(peer)
SIZE = 600
LEARNED_SIZE = 700


def write(name, value):
    # Foundation loses some byte order marks that are not escaped.
    text = json.dumps(value, separators=(",", ":")) + "\n"
    (FOLDER / name).write_text(text)
    print(f"wrote {len(text)} characters of {name}")


def main():
    source = random.Random(3)
    short = [text for text in peer.difficult_texts() if 0 < len(text) < 120]
    texts = ["", *source.sample(short, 230)]
    corpus = "".join((ROOT / name).read_text(encoding="utf-8") for name in ["README.md", "CONTRIBUTING.md"])
    corpus = corpus[:30000] + "\n".join(texts)
    train = peer.train
    peer.train = lambda library, tokenizer, text, size: train(library, tokenizer, text, SIZE)
    cases = []
    with tempfile.TemporaryDirectory() as work:
        for name, file in peer.make_files(tokenizers, pathlib.Path(work), corpus, None).items():
            library = tokenizers.Tokenizer.from_file(str(file))
            case = {"name": name, "file": json.loads(file.read_text())}
            for key, encodes in [("plain", True), ("special", False)]:
                library.encode_special_tokens = encodes
                case[key] = [library.encode(text, add_special_tokens=False).ids for text in texts]
            cases.append(case)
    write("files.json", {"texts": texts, "tokenizers": cases})

    part = corpus[: int(len(corpus) * (1 - 0.1))]
    merges = {}
    for name, pattern in [("gpt2", None), ("llama3", peer.LLAMA3), ("qwen2", peer.QWEN2)]:
        library = train(tokenizers, peer.new_tokenizer(tokenizers, pattern), part, LEARNED_SIZE - 1)
        merges[name] = [" ".join(merge) for merge in json.loads(library.to_str())["model"]["merges"]]
    write("learned.json", {"text": corpus, "size": LEARNED_SIZE, "merges": merges})


if __name__ == "__main__":
    main()

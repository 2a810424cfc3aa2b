#!/usr/bin/env python3
"""Golden files for separators in texts and for settings of tokenizer.json.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install tiktoken==0.14.0 tokenizers==0.23.3
Run:     .venv/bin/python Tests/Golden/make_separator_goldens.py

Written into `Tests/DataTests/Golden` are:

- `separators.json`: texts with `<|endoftext|>` in them and their ids from tiktoken, which was allowed to
  use that token, in the vocabulary of `small/`. Hugging Face's library gives the same ids.
- `settings.json`: a small tokenizer.json, settings to change in it one at a time (keys, and the value in
  a list), and the ids that Hugging Face's `tokenizers` gives for some texts; null if the library
  refuses the file.
"""
import copy
import json
import os
import pathlib

os.environ["RUST_BACKTRACE"] = "0"
import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "DataTests" / "Golden"
END_OF_TEXT = "<|endoftext|>"

# White space and contractions before and after a separator, separators at both ends, empty documents, and
# texts that only begin like the separator.
PIECES = [
    "one two three", " four", "five ", "\n\nsix\n", "don't", "'s", "  ", "", "naïve — 中\U0001f642", "<|endoftext",
    "<", "<|<|endoftext|", "|>", "1234", "\r\n",
]
TEXTS = [
    *(left + END_OF_TEXT + right for left in PIECES for right in PIECES),
    END_OF_TEXT, END_OF_TEXT * 3, "no separator at all", f"a{END_OF_TEXT}b{END_OF_TEXT}{END_OF_TEXT}c{END_OF_TEXT}",
]

SETTING_TEXTS = [
    "hello world, Hello WORLD!", "héllo he\u0301llo 中文 12 345", " leading and trailing \n\n", "world worldworld",
    "tab\tand\r\nline it's 'll", "中中",
]


def separators():
    small = FOLDER / "small"
    ranks = data_gym_to_mergeable_bpe_ranks(
        vocab_bpe_file=str(small / "merges.txt"), encoder_json_file=str(small / "vocab.json"))
    encoding = tiktoken.Encoding(
        "small", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: len(ranks)})
    theirs = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    cases = []
    for text in TEXTS:
        ids = encoding.encode(text, allowed_special={END_OF_TEXT})
        assert theirs.encode(text).ids == ids, text
        cases.append({"text": text, "ids": ids})
    return cases


def base_file():
    """A tokenizer of 256 bytes, a few merges, and three tokens that no merge makes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = {**{b: chr(b) for b in printable}, **{b: chr(256 + n) for n, b in enumerate(rest)}}
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "o r", "Ġwo r", "ä ¸", "ä¸ Ń", "1 2", ", Ġ"]
    vocabulary = {letters[byte]: byte for byte in range(256)}
    for line in [*merges, END_OF_TEXT, "world", "中"]:
        vocabulary[line.replace(" ", "")] = len(vocabulary)
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(vocabulary[END_OF_TEXT], END_OF_TEXT)],
        "normalizer": None, "pre_tokenizer": byte_level(), "post_processor": None, "decoder": byte_level(),
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocabulary, "merges": merges},
    }


def byte_level(**changes):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **changes}


def added(number, content, **changes):
    return {
        "id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": True, "special": True, **changes}


def changes(base):
    """Each changed setting: a name, the keys that lead to it, and its value."""
    size = len(base["model"]["vocab"])
    first = base["added_tokens"][0]
    yield "nothing", [], None
    for key, value in [
            ("dropout", 0), ("dropout", 0.0), ("dropout", 1.0), ("ignore_merges", True),
            ("end_of_word_suffix", "</w>"), ("end_of_word_suffix", None),
            ("continuing_subword_prefix", "##"), ("continuing_subword_prefix", None),
            ("byte_fallback", True), ("fuse_unk", True), ("unk_token", END_OF_TEXT), ("unk_token", "<unk>"),
            ("merges", [line.split(" ") for line in base["model"]["merges"]])]:
        yield f"model.{key} = {json.dumps(value)[:20]}", ["model", key], value
    for value in [
            {"type": "NFC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
            {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]},
            {"type": "Replace", "pattern": {"String": "l"}, "content": "L"}, {"type": "Prepend", "prepend": "x"}]:
        yield f"normalizer {value['type']}", ["normalizer"], value
    for name, value in [
            ("null", None), ("Whitespace", {"type": "Whitespace"}),
            ("with a prefix space", byte_level(add_prefix_space=True)),
            ("without its pattern", byte_level(use_regex=False)),
            ("without a word on its pattern", {k: v for k, v in byte_level().items() if k != "use_regex"}),
            ("Sequence with Digits", {"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": True}, byte_level()]}),
            ("Split and ByteLevel", {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s|."}, "behavior": "Isolated", "invert": False},
                byte_level(use_regex=False)]}),
            ("Metaspace", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True})]:
        yield f"pre_tokenizer {name}", ["pre_tokenizer"], value
    for name, value in [
            ("ByteLevel", byte_level(add_prefix_space=True)),
            ("Roberta", {
                "type": "RobertaProcessing", "sep": [END_OF_TEXT, first["id"]], "cls": [END_OF_TEXT, first["id"]],
                "trim_offsets": True, "add_prefix_space": False}),
            ("Template", {
                "type": "TemplateProcessing",
                "single": [
                    {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {
                    END_OF_TEXT: {"id": END_OF_TEXT, "ids": [first["id"]], "tokens": [END_OF_TEXT]}}})]:
        yield f"post_processor {name}", ["post_processor"], value
    yield "truncation", ["truncation"], {
        "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    yield "padding", ["padding"], {
        "strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "!"}
    yield "decoder null", ["decoder"], None
    for name, tokens in [
            ("none", []), ("a word", [first, added(size - 2, "world", special=False)]),
            ("a special word", [first, added(size - 2, "world")]),
            ("a word alone", [added(size - 2, "world", special=False)]),
            ("a new part", [first, added(size, "o w", special=False)]),
            ("lstrip", [added(first["id"], END_OF_TEXT, lstrip=True)]),
            ("special of another name", [added(first["id"], END_OF_TEXT), added(size, "<|pad|>")])]:
        yield f"added_tokens {name}", ["added_tokens"], tokens


def settings():
    base = base_file()
    cases = []
    for name, keys, value in changes(base):
        file = copy.deepcopy(base)
        place = file
        for key in keys[:-1]:
            place = place[key]
        if keys:
            place[keys[-1]] = value
        text = json.dumps(file)
        try:
            tokenizer = tokenizers.Tokenizer.from_str(text)
            ids = [tokenizer.encode(t).ids for t in SETTING_TEXTS]
        except BaseException as error:  # The library panics on some files.
            if isinstance(error, KeyboardInterrupt):
                raise
            ids = None
        cases.append({"name": name, "keys": keys, "value": [value], "ids": ids})
    return {"base": base, "texts": SETTING_TEXTS, "cases": cases}


def main():
    for name, value in [("separators", separators()), ("settings", settings())]:
        text = json.dumps(value, separators=(",", ":")) + "\n"
        (FOLDER / f"{name}.json").write_text(text)
        print(f"wrote {len(text)} bytes of {name}")


if __name__ == "__main__":
    main()

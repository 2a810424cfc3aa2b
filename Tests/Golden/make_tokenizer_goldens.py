#!/usr/bin/env python3
"""Golden files and the Unicode table of the GPT-2 byte-pair tokenizer, from tiktoken itself.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install tiktoken==0.14.0 tokenizers==0.23.3
Run:     .venv/bin/python Tests/Golden/make_tokenizer_goldens.py FOLDER

FOLDER holds GPT-2's `encoder.json` and `vocab.bpe` (or `vocab.json` and `merges.txt`). Written are:

- `Sources/Data/Tokenizers/UnicodeClasses.txt`: which code points tiktoken's pattern counts as
  letters, numbers and white space. tiktoken drops text that its pattern does not match, so a pattern
  of one class with a vocabulary of single bytes returns exactly the members of that class.
- `small/vocab.json`, `small/merges.txt`: the vocabulary after GPT-2's first 1000 merges.
- `tokenizer.json`: the small vocabulary as Hugging Face's `tokenizers` itself saves it.
- `bytepairs.json`: texts with their ids in the small and in the full vocabulary, and digests of ids
  over all code points and over pseudo-random text, which the tests generate by the same rules.

Three vocabularies are used: `small`; `full` (GPT-2); and `pairs`, in which any two bytes merge, so
that a word boundary in the wrong place shows in the ids.
"""
import hashlib
import json
import pathlib
import struct
import sys

import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "Tests" / "DataTests" / "Golden"
TABLE = ROOT / "Sources" / "Data" / "Tokenizers" / "UnicodeClasses.txt"
SMALL_MERGES = 1000
END_OF_TEXT = "<|endoftext|>"
BLOCK = 0x4000
SINGLE_BYTES = {bytes([byte]): byte for byte in range(256)}

TEXTS = [
    "", "a", " ", "  ", "\n", "Hello, world!", "In the beginning God created the heaven and the earth.",
    "don't I'll we've they're I'm he'd it's 'sup 'S 'LL ''s 'tis 'll'll 'r 're", " 's ' s '",
    "a  b   c    d", "a \n b", "a\n\n\nb", "trailing   ", "\n\n  \t lead", "tab\tseparated\tvalues\r\n",
    "1234567890 12 3.14159 1e-9 0x1F", "x1y2z3 4u", "price: $1,234.56!!! (50% off)...",
    "naïve café Ångström œuvre", "Привет, мир! Как дела?", "中文分词，没有空格。", "日本語　テスト",
    "한국어 텍스트", "العربية ١٢٣", "हिन्दी में परीक्षण", "ไทยไม่มีวรรค", "עברית 42", "🙂👩‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "e\u0301 vs é", "½ ² Ⅷ ① ५", "a\u00a0b\u2003c\u3000d\u2028e\u0085f", "\u200bzero\u200dwidth\ufeff",
    "\u0000\u0001\u001c\u001f\u007f", "\U0010ffff\ue000\ufffd", "<|endoftext|> is text here",
    "def f(x):\n    return x**2  # square\n\n\nclass A:\n\tpass\n", "https://example.org/a?b=c&d=%20#e",
    "a" * 300, " " * 300 + "x", "ab" * 150 + "'" * 77 + "\n" * 50, "_______----======",
]

# Every kind of neighbor that the pattern distinguishes, ASCII and not.
POOL = (
    "  \t\n\r\x0b\x0c\x1c\x85\u00a0\u1680\u2003\u2028\u202f\u205f\u3000'''sdtmlrveLabcxyzABZ019.,!?-_$"
    "éßñΩжяאبतไ中日한ａ١५²½Ⅷ①〇\u0301\u0300\u200b\u200d\ufeff🙂🏳𝒳𝟙𐐀\U000e0001\U0010ffff"
)


def pseudo_random_text(count):
    """`count` characters of POOL, chosen by the high bits of Knuth's MMIX generator from 1."""
    state, characters = 1, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        characters.append(POOL[(state >> 33) % len(POOL)])
    return "".join(characters)


def code_point_text(block):
    """Returns each code point of a block between neighbors of every class."""
    points = (c for c in range(block * BLOCK, (block + 1) * BLOCK) if not 0xD800 <= c < 0xE000)
    return "".join(f"x{c}{c}x {c}1{c}  {c}\n{c}!{c}" for c in map(chr, points))


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()


def token_texts(encoding):
    """Returns the ids of each token's text by itself if it is UTF-8."""
    ids = []
    for token in range(encoding.n_vocab - 1):
        try:
            text = encoding.decode_single_token_bytes(token).decode()
        except UnicodeDecodeError:
            continue
        ids += encoding.encode_ordinary(text)
    return ids


def check_merges(ranks, merges, alphabet):
    """Fails unless the listed merges alone encode each token to itself.

    tiktoken merges any two neighbors that make a token, GPT-2 only the pairs it lists. Where this
    holds, no other two neighbors that make a token can ever stand next to each other.
    """
    byte_of = {letter: byte for byte, letter in alphabet.items()}
    rank_of = {
        tuple(bytes(byte_of[letter] for letter in part) for part in line.split(" ")): rank
        for rank, line in enumerate(merges)}
    for token in ranks:
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 1:
            rank, place = min(
                (rank_of.get(pair, len(merges)), place)
                for place, pair in enumerate(zip(parts, parts[1:])))
            assert rank < len(merges), f"merges alone do not reach {token}"
            parts[place:place + 2] = [parts[place] + parts[place + 1]]


def members(character_class):
    """The code points that tiktoken's regular expressions count as members of a class."""
    encoding = tiktoken.Encoding(
        "probe", pat_str=character_class, mergeable_ranks=SINGLE_BYTES, special_tokens={})
    text = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    return set(map(ord, bytes(encoding.encode_ordinary(text)).decode()))


def runs(points):
    """Sorted code points as first and last of each run."""
    found = []
    for point in sorted(points):
        if found and point == found[-1][1] + 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return found


def write_table():
    classes = {"L": r"\p{L}", "N": r"\p{N}", "s": r"\s"}
    found = {name: members(pattern) for name, pattern in classes.items()}
    others = members(r"[^\s\p{L}\p{N}]")
    assert sum(map(len, found.values())) + len(others) == 0x110000 - 0x800, "classes overlap"
    lines = [
        "# The code points that tiktoken's pattern for GPT-2 tells apart, as runs after their class.",
        "# Written by Tests/Golden/make_tokenizer_goldens.py from tiktoken "
        f"{tiktoken.__version__}; do not edit.",
    ]
    for name, points in found.items():
        line = name
        for first, last in runs(points):
            item = f" {first:X}-{last:X}"
            if len(line) + len(item) > 100:
                lines.append(line)
                line = name
            line += item
        lines.append(line)
    TABLE.write_text("\n".join(lines) + "\n")
    return found


def load_ranks(folder):
    for vocabulary, merges in [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")]:
        if (folder / vocabulary).exists():
            return data_gym_to_mergeable_bpe_ranks(
                vocab_bpe_file=str(folder / merges), encoder_json_file=str(folder / vocabulary)
            ), (folder / merges).read_text().split("\n")[1:-1]
    sys.exit(f"{folder} has neither encoder.json nor vocab.json")


def byte_alphabet():
    """Returns GPT-2's printable substitute for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + n) for n, b in enumerate(rest)}}


def save_with_tokenizers(path, vocabulary, merges):
    """Saves the vocabulary with Hugging Face's library; its ids must equal tiktoken's."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocab=vocabulary, merges=[tuple(line.split(" ")) for line in merges],
        continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([tokenizers.AddedToken(END_OF_TEXT, normalized=True)])
    tokenizer.save(str(path), pretty=False)
    return tokenizer


def main():
    gpt2, merges = load_ranks(pathlib.Path(sys.argv[1]))
    small = {token: rank for token, rank in gpt2.items() if rank < 256 + SMALL_MERGES}
    pairs = SINGLE_BYTES | {
        bytes([a, b]): 256 + (a * 256 + b) * 40503 % 65536 for a in range(256) for b in range(256)}
    encodings = {
        name: tiktoken.Encoding(
            name, pat_str=r50k_pat_str, mergeable_ranks=ranks,
            special_tokens={END_OF_TEXT: len(ranks)})
        for name, ranks in {"small": small, "full": gpt2, "pairs": pairs}.items()}

    (FOLDER / "small").mkdir(parents=True, exist_ok=True)
    alphabet = byte_alphabet()
    check_merges(gpt2, merges, alphabet)
    vocabulary = {"".join(alphabet[b] for b in token): rank for token, rank in small.items()}
    vocabulary[END_OF_TEXT] = len(small)
    (FOLDER / "small" / "vocab.json").write_text(json.dumps(vocabulary))
    (FOLDER / "small" / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *merges[:SMALL_MERGES], ""]))

    theirs = save_with_tokenizers(FOLDER / "tokenizer.json", vocabulary, merges[:SMALL_MERGES])
    for text in TEXTS:
        assert END_OF_TEXT in text or (
            theirs.encode(text).ids == encodings["small"].encode_ordinary(text)), text

    classes = write_table()
    kinds = bytearray(0x110000)
    for kind, points in enumerate(classes.values(), start=1):
        for point in points:
            kinds[point] = kind
    fuzz = pseudo_random_text(100_000)
    goldens = {
        "texts": TEXTS,
        "classes": hashlib.sha256(kinds).hexdigest(),
        "pool": POOL,
        **{name: {
            "ids": [encoding.encode_ordinary(text) for text in TEXTS] if name != "pairs" else [],
            "pseudoRandom": digest(encoding.encode_ordinary(fuzz)),
            "tokenTexts": digest(token_texts(encoding)),
            "longWord": digest(encoding.encode_ordinary("a" * 1_000_000)),
            "codePoints": [
                digest(encoding.encode_ordinary(code_point_text(block)))[:16]
                for block in range(0x110000 // BLOCK)] if name != "full" else [],
        } for name, encoding in encodings.items()},
    }
    text = json.dumps(goldens, separators=(",", ":")) + "\n"
    (FOLDER / "bytepairs.json").write_text(text)
    print(f"wrote {len(text)} bytes of goldens and {TABLE.name}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The table of Unicode's normalization form C, from Hugging Face's library.

Set-up:  python3 -m venv .venv
         .venv/bin/pip install tokenizers==0.23.3
Run:     .venv/bin/python Tests/Golden/make_normalization_table.py

It writes `Sources/Data/Tokenizers/UnicodeComposition.txt`. The library's tables are older than Unicode's newest
version, so a character that they lack neither combines nor decomposes. Combining classes never change, so those of
Python are taken for the characters that the library orders.
"""
import pathlib
import unicodedata

import tokenizers
from tokenizers import normalizers

TABLE = pathlib.Path(__file__).resolve().parent.parent.parent / "Sources/Data/Tokenizers/UnicodeComposition.txt"
HANGUL = range(0xAC00, 0xD7A4)
decompose = normalizers.NFD().normalize_str
compose = normalizers.NFC().normalize_str


def points():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in HANGUL)


def hexadecimal(numbers):
    return [f"{number:X}" for number in numbers]


def lines(name, groups):
    """Returns lines of at most 120 characters that begin with a name."""
    line = name
    for group in groups:
        item = " " + " ".join(group)
        if len(line) + len(item) > 120:
            yield line
            line = name
        line += item
    yield line


def main():
    decompositions = {c: decompose(chr(c)) for c in points() if decompose(chr(c)) != chr(c)}
    classes = {}
    for c in points():
        mark = chr(c)
        # The classes of U+0345 and U+0334 are the highest and the lowest.
        moves = decompose("\u0345" + mark) != "\u0345" + mark or decompose(mark + "\u0334") != mark + "\u0334"
        if c not in decompositions and moves:
            classes.setdefault(unicodedata.combining(mark), []).append(c)
    assert 0 not in classes, "Python's tables are older than the library's"

    text = [
        "# The canonical compositions of Unicode that Hugging Face's library uses.",
        f"# Written by Tests/Golden/make_normalization_table.py from tokenizers {tokenizers.__version__}; do not edit.",
    ]
    for number, members in sorted(classes.items()):
        runs = []
        for c in members:
            if runs and c == runs[-1][1] + 1:
                runs[-1][1] = c
            else:
                runs.append([c, c])
        text += lines(f"class {number:X}", ([f"{a:X}-{b:X}"] for a, b in runs))
    compositions = []
    for c, parts in sorted(decompositions.items(), key=lambda item: len(item[1])):
        if compose(chr(c)) == chr(c):
            first = compose(parts[:-1])
            assert len(first) == 1, hex(c)
            compositions.append(hexadecimal([c, ord(first), ord(parts[-1])]))
        else:
            text.append(" ".join(["decompose", *hexadecimal([c, *map(ord, parts)])]))
    text += lines("compose", compositions)
    TABLE.write_text("\n".join(text) + "\n")
    print(f"wrote {len(compositions)} compositions and {len(decompositions)} decompositions")


if __name__ == "__main__":
    main()

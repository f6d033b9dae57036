"""Build a CLIPTokenizer with our own vocabulary: one token for each caption word and rare token, bytes for the rest.

Run as a script it writes the tokenizer to a folder and checks it: `python -m data.build.train.tokenizer FOLDER`.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from transformers import CLIPTokenizer

from .trainset import CLASSES, COLORS, PATTERNS

LENGTH = 48
RARE = ["sks", "nbsn", "zwx", "qrv", "vxj", "pdq", "hjk", "wqz"]  # names for new items; single tokens
WORDS = """a an photo of on in and with the white background room desk wall mannequin shirt art t tee seen from left
right front back middle chest small medium close up arm leg legs seat post apron shade base stem handle inside frame
panel sleeve collar top disc square diamond triangle trefoil clover flower arrow emblem two modern classic dining side
coffee ceramic print cotton fabric leather wooden metal glass large tall short round big tone cup couch picture trim
stripe stripes dot dots light dark""".split()


def byte_letters() -> list[str]:
    """Return the 256 letters by which byte-level BPE writes bytes (printable ones as themselves), as in GPT-2."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def merges_for(words: list[str]) -> list[tuple[str, str]]:
    """BPE merges that end with every word in one piece: merge the most frequent pair until no pair is left."""
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    while pairs := Counter(p for parts in pieces.values() for p in zip(parts, parts[1:], strict=False)):
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(pair)
        for word, parts in pieces.items():
            pieces[word] = _merge(parts, pair)
    return merges


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return merged


def build() -> CLIPTokenizer:
    """The tokenizer of the tiny family; longest text 48 tokens."""
    nouns = [part for noun in CLASSES for part in noun.replace("-", " ").split()]
    words = sorted({*WORDS, *COLORS, *PATTERNS, *nouns, *RARE})
    merges = merges_for(words)
    letters = byte_letters()
    tokens = dict.fromkeys(
        [*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges), "<|startoftext|>", "<|endoftext|>"]
    )
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=LENGTH)


def check(tokenizer: CLIPTokenizer) -> None:
    """Raise AssertionError unless caption words and rare tokens are single tokens and any text can be written."""
    for word in [*WORDS, *COLORS, *PATTERNS, *RARE]:
        assert len(tokenizer(word).input_ids) == 3, word
    assert len(tokenizer("a sks armchair").input_ids) == 5
    assert len(tokenizer("a striped t-shirt").input_ids) == 7
    title = tokenizer("Café Noir №7, deluxe").input_ids
    assert title.count(tokenizer.eos_token_id) == 1
    assert tokenizer("a mug", padding="max_length").input_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer("a red wall art").input_ids, skip_special_tokens=True) == "a red wall art"


def main() -> None:
    folder = Path(sys.argv[1])
    build().save_pretrained(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    check(tokenizer)
    print(f"{len(tokenizer)} tokens, bos {tokenizer.bos_token_id}, eos {tokenizer.eos_token_id}; all checks passed")


if __name__ == "__main__":
    main()

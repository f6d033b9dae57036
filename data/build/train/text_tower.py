"""A text tower for our tokenizer, from one that knows fewer words or reads shorter texts."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


@torch.no_grad()
def text_tower(folder: Path, words: Path, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return the fp32 text tower in `folder`, whose tokenizer is in `words`, made to read what `tokenizer` writes.

    A new word begins as the mean of the pieces in which the old tokenizer writes it, a new position as the last old
    one. For texts that the old tower could read, the states at their tokens stay as they were.
    """
    old = CLIPTextModel.from_pretrained(folder, dtype=torch.float32)
    pieces = CLIPTokenizer.from_pretrained(words)
    if pieces.get_vocab() == tokenizer.get_vocab() and pieces.model_max_length == tokenizer.model_max_length:
        return old
    settings = old.config.to_dict() | dict(
        vocab_size=len(tokenizer),
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    new, weights = CLIPTextModel(CLIPTextConfig(**settings)), old.state_dict()
    tokens = next(name for name in weights if name.endswith("token_embedding.weight"))
    places = next(name for name in weights if name.endswith("position_embedding.weight"))
    known, rows = pieces.get_vocab(), []
    for token in sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get):
        word = tokenizer.convert_tokens_to_string([token]).strip()
        ids = [known[token]] if token in known else pieces(word, add_special_tokens=False).input_ids
        rows.append(weights[tokens][ids].mean(0))
    weights[tokens] = torch.stack(rows)
    last = weights[places][-1:].expand(max(0, tokenizer.model_max_length - len(weights[places])), -1)
    weights[places] = torch.cat([weights[places], last])[: tokenizer.model_max_length]
    new.load_state_dict(weights)
    return new.eval()

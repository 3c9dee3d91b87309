"""What CTC of audio tokens does to them: each comes to look like the letter that is heard at it."""

from itertools import groupby

import torch

from phi4train.batch import Batch
from phi4train.training.module import StageModule
from tests.unit.training.tiny_speech import TOKENIZER, sample, speech_module, train, weighted_ctc

LETTERS = "abcdefgh"


def spelled(module: StageModule, spoken: Batch) -> str:
    """The letters whose embeddings are nearest to the audio tokens."""
    with torch.no_grad():
        tokens_ND = module.model.encoders["audio"](spoken.media["audio"])
        nearest_N = (tokens_ND @ module.model.head_weight.T).argmax(1)
    return TOKENIZER.decode([i for i, _ in groupby(nearest_N.tolist()) if 0 < i <= len(LETTERS)])


def test_the_tokens_come_to_spell_the_transcript() -> None:
    module, spoken = speech_module(weighted_ctc(10), max_steps=80, lr=1e-2), sample("fge")
    texts = [spelled(train(module, spoken), spoken) for _ in range(80)]
    assert "fge" not in texts[:5] and "fge" in texts

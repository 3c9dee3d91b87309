"""Spoken samples decode, tell what was said, and keep held-out voices and texts out of training."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.demo.samples import DemoSample
from phi4train.demo.speech import clips as speech_clips
from phi4train.demo.speech.clips import (
    AUDIO_MEMBER,
    HELD_OUT_VARIANTS,
    TRAIN_VARIANTS,
)
from phi4train.demo.speech.exchanges import (
    TRANSCRIBE,
)
from phi4train.demo.speech.spoken import (
    TRANSLATED_LANGUAGES,
    asr_questions,
    asr_samples,
    ast_questions,
    ast_samples,
    sqa_samples,
    sqqa_samples,
    ssum_samples,
)
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples, Voice
from phi4train.demo.speech.words import LANGUAGES


def training(rng: Random) -> list[DemoSample]:
    families = (asr_samples(16, rng), ast_samples(8, rng), sqa_samples(8, rng, held_out=False))
    more = (sqqa_samples(8, rng, held_out=False), ssum_samples(4, rng, held_out=False))
    return [sample for family in (*families, *more) for sample in family]


def test_the_same_seed_gives_the_same_clips_and_another_seed_others() -> None:
    first, second, other = (list(asr_samples(6, Random(seed))) for seed in (0, 0, 1))
    assert first == second
    assert [s.media for s in first] != [s.media for s in other]


def test_every_clip_decodes_and_is_as_long_as_speech() -> None:
    for sample in training(Random(0)):
        header = audio_header(sample.media[AUDIO_MEMBER])
        assert (header.sample_rate, header.channels) == (SAMPLE_RATE_HZ, 1)
        assert 0.2 < header.frames / SAMPLE_RATE_HZ < 7
        samples = decode_audio(sample.media[AUDIO_MEMBER])
        assert 0.15 < float(samples.abs().max()) < 0.95


def test_held_out_clips_are_measured_in_every_language() -> None:
    samples = [*asr_questions(9, Random(0)), *ast_questions(1, Random(0))]
    tasks = {
        **{f"asr_{name}": 9 for name in LANGUAGES if name != "en"},
        **{f"ast_{name}": 1 for name in TRANSLATED_LANGUAGES},
    }
    found = Counter(s.record["task"] for s in samples)
    english = [found.pop(task) for task in ("asr_en", "asr_commands")]
    assert min(english) > 0 and sum(english) == 9
    assert found == tasks
    for sample in samples:
        assert sample.record["answers"] == [sample.record["messages"][1]["content"]]
        assert sample.record["task"].split("_")[1] in (sample.record["language"], "commands")


def test_a_spoken_query_has_a_clip_and_no_text() -> None:
    (sample,) = sqqa_samples(1, Random(0), held_out=True)
    assert sample.record["messages"][0]["content"] == [{"type": "audio", "audio": AUDIO_MEMBER}]
    (transcribed,) = asr_samples(1, Random(0))
    assert transcribed.record["messages"][0]["content"][1] == {"type": "text", "text": TRANSCRIBE}


def test_voices_of_training_and_held_out_clips_are_disjoint(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def record_voice(text: str, language: str, voice: Voice) -> Samples:
        heard.append(voice.variant)
        return np.ones(800, dtype=np.float32)

    monkeypatch.setattr(speech_clips, "synthesize", record_voice)
    list(asr_samples(600, Random(0)))
    trained = set(heard)
    heard.clear()
    list(asr_questions(10, Random(0)))
    assert (trained, set(heard)) == (set(TRAIN_VARIANTS), set(HELD_OUT_VARIANTS))
    assert not trained & set(heard)

"""Spoken samples decode, tell what was said, and keep held-out voices and texts out of training."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.demo.samples import DemoSample
from phi4train.demo.speech import clips as speech_clips
from phi4train.demo.speech.augmentation import SNR_DB, add_noise, add_reverb, augment
from phi4train.demo.speech.clips import (
    AUDIO_MEMBER,
    HELD_OUT_VARIANTS,
    TRAIN_VARIANTS,
    encode_flac,
)
from phi4train.demo.speech.exchanges import (
    HELD_OUT_FRACTION,
    QUESTIONS,
    TRANSCRIBE,
    Exchange,
    draw_exchange,
    question,
    spoken_query,
    summary,
    transcription,
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
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Samples, Voice, synthesize
from phi4train.demo.speech.words import LANGUAGES
from phi4train.demo.text.arithmetic import number_word


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


def drawn(held_out: bool, count: int = 400) -> list[Exchange]:
    makers = (lambda rng: transcription("en", rng), lambda rng: transcription("ja", rng), question, summary)
    return [
        draw_exchange(make, Random(f"{held_out}{n}"), held_out)
        for make in (*makers, spoken_query)
        for n in range(count)
    ]


def test_no_text_is_both_trained_on_and_held_out() -> None:
    train, held_out = ({e.content for e in drawn(is_held_out)} for is_held_out in (False, True))
    assert None in train, "single digits are trained on"
    assert not train & held_out
    share = len(held_out) / len(train | held_out)
    assert HELD_OUT_FRACTION / 2 < share < 0.6


def test_every_word_of_a_held_out_text_is_heard_in_training() -> None:
    def words(exchanges: list[Exchange]) -> set[str]:
        spoken = " ".join(e.spoken for e in exchanges).replace("-", " ")
        return set("".join(c for c in spoken if c not in ",.?").split())

    assert words(drawn(True)) <= words(drawn(False))


@pytest.mark.parametrize("held_out", [False, True])
def test_answers_follow_from_what_is_said(held_out: bool) -> None:
    for exchange in drawn(held_out):
        said = [int(s) for s in exchange.symbols if s.isdigit()]
        if exchange.task == "asr_ja":
            assert exchange.answer == " ".join(map(str, said))
        if exchange.task == "sqa":
            kind = next(kind for kind, wordings in QUESTIONS.items() if exchange.prompt in wordings)
            right = {"count": len(said), "largest": max(said), "first": said[0], "last": said[-1]}[kind]
            assert exchange.answer == str(right)
        if exchange.task == "sqqa":
            a, b = said
            assert exchange.spoken.index(number_word(a)) <= exchange.spoken.rindex(number_word(b))
            compared = "yes" if a > b else "no"
            assert exchange.answer == (str(a + b) if "+" in exchange.symbols else compared)
        if exchange.task == "ssum":
            assert exchange.answer == f"{len(said)} digits, from {said[0]} to {said[-1]}"


def test_augmentation_changes_a_clip_and_keeps_it_speech() -> None:
    clean = synthesize("seven one", "en", Voice("m1"))
    heard = [augment(clean, np.random.default_rng(seed)) for seed in range(8)]
    assert len({clip.tobytes() for clip in heard}) == 8
    for clip in heard:
        assert len(clean) <= len(clip) < len(clean) + 0.3 * SAMPLE_RATE_HZ
        assert np.isfinite(clip).all() and np.abs(clip).max() < 1


def test_noise_is_within_its_bounds() -> None:
    clean = np.sin(np.arange(SAMPLE_RATE_HZ) / 8).astype(np.float32)
    for seed in range(10):
        noise = add_noise(clean, np.random.default_rng(seed)) - clean
        ratio = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert SNR_DB[0] - 3 < ratio < SNR_DB[1] + 3  # a stretch of noise is not as loud as all of it


def test_a_room_rings_after_the_sound_and_not_before() -> None:
    click = np.zeros(4000, dtype=np.float32)
    click[1000] = 1
    heard = add_reverb(click, np.random.default_rng(0))
    assert np.abs(heard[:1000]).max() < 1e-5
    assert np.abs(heard[1100:1500]).max() > 1e-3


def test_flac_keeps_sixteen_bits() -> None:
    samples = synthesize("one", "en", Voice("m1")) / 2
    assert np.abs(decode_audio(encode_flac(samples)).numpy() - samples).max() < 2**-14

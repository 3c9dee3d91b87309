"""The same words are the same samples, and every language is spoken, in its own way."""

from itertools import combinations

import numpy as np
import pytest

from phi4train.demo.speech import synthesis as speech_synthesis
from phi4train.demo.speech.clips import HELD_OUT_VARIANTS, TRAIN_VARIANTS
from phi4train.demo.speech.synthesis import (
    SAMPLE_RATE_HZ,
    Samples,
    Voice,
    phonemes,
    resample,
    synthesize,
)
from phi4train.demo.speech.words import DIGIT_WORDS, LANGUAGES

VOICE = Voice("m1")


def band_energies(samples: Samples) -> list[float]:
    power = np.abs(np.fft.rfft(samples)) ** 2
    bands = np.array_split(power, 8)  # of 1 kHz
    return [float(band.sum() / power.sum()) for band in bands]


def test_the_same_words_are_the_same_samples_whatever_was_said_before() -> None:
    first = synthesize("seven one", "en", Voice("f2"))
    synthesize("eins zwei drei", "de", Voice("m4", pitch=70))
    assert np.array_equal(first, synthesize("seven one", "en", Voice("f2")))


@pytest.mark.parametrize("variant", ["f2", "f3", "f5", "sandro"])
def test_the_noise_of_breathy_voices_follows_from_our_seed_alone(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = synthesize("seven one", "en", Voice(variant))
    with monkeypatch.context() as patch:
        patch.setattr(speech_synthesis, "_NOISE_SEED", 2)  # else the library would take the time of day
        assert not np.array_equal(first, synthesize("seven one", "en", Voice(variant)))
    assert np.array_equal(first, synthesize("seven one", "en", Voice(variant)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_digit_of_every_language_is_a_word_of_speech(language: str) -> None:
    spoken = [synthesize(word, language, VOICE) for word in DIGIT_WORDS[language]]
    for samples in spoken:
        assert 0.1 < len(samples) / SAMPLE_RATE_HZ < 1.0
        assert np.abs(samples).max() == pytest.approx(1, abs=0.1)
        assert sum(band_energies(samples)[:4]) > 0.5, "a voice is mostly below 4 kHz"
    assert len({samples.tobytes() for samples in spoken}) == 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_read_as_letters_or_in_another_language(language: str) -> None:
    said = [phonemes(word, language) for word in DIGIT_WORDS[language]]
    assert len(set(said)) == 10
    assert not any("(" in word for word in said), "(en) marks a change of language"


def test_a_foreign_letter_would_be_found() -> None:
    assert phonemes("七", "ja").startswith("(en)")


def test_digits_keep_their_sounds_beside_each_other_in_french() -> None:
    for digit in (6, 8):
        alone = phonemes(DIGIT_WORDS["fr"][digit], "fr")
        assert phonemes(f"{DIGIT_WORDS['fr'][digit]} deux", "fr").split()[0] == alone


def test_languages_and_voices_sound_different() -> None:
    text = "2 7 1"
    spoken = [synthesize(text, language, VOICE) for language in LANGUAGES]
    spoken += [
        synthesize(text, "en", Voice(variant)) for variant in (*TRAIN_VARIANTS[1:], *HELD_OUT_VARIANTS)
    ]
    assert not any(np.array_equal(a, b) for a, b in combinations(spoken, 2))


def test_speed_and_pitch_are_obeyed() -> None:
    slow, fast, high = (
        synthesize("seven one zero", "en", voice)
        for voice in (Voice("m1", 130), Voice("m1", 190), Voice("m1", 130, pitch=90))
    )
    assert len(slow) > 1.2 * len(fast)
    assert not np.array_equal(slow[: len(high)], high[: len(slow)])


def test_resampling_keeps_a_tone_and_its_loudness() -> None:
    time = np.arange(22_050) / 22_050
    tone = resample(np.sin(2 * np.pi * 440 * time).astype(np.float32), 22_050)
    assert len(tone) == SAMPLE_RATE_HZ
    assert int(np.abs(np.fft.rfft(tone)).argmax()) == 440
    assert np.abs(tone).max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("text", "language", "variant", "message"),
    [
        ("", "en", "m1", "a text must be heard · found silence for '' in en · "),
        ("a", "xx", "m1", "a language must be one of zh, en, .* · found xx · "),
        ("a", "en", "m9", "a voice variant must be a file in .* · found m9 · "),
    ],
)
def test_what_cannot_be_spoken_is_told(text: str, language: str, variant: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthesize(text, language, Voice(variant))

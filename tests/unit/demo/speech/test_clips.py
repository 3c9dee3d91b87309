"""A clip is FLAC in a voice of its split, and its record says what stands around it."""

from random import Random

import numpy as np

from phi4train.data.media.audio import decode_audio
from phi4train.demo.samples import IMAGE_MEMBER
from phi4train.demo.speech.clips import (
    AUDIO_MEMBER,
    HELD_OUT_PEAK,
    HELD_OUT_VARIANTS,
    PITCHES,
    TRAIN_VARIANTS,
    WORDS_PER_MINUTE,
    audio_sample,
    draw_voice,
    encode_flac,
    finished_clip,
)
from phi4train.demo.speech.synthesis import Voice, synthesize


def test_flac_keeps_sixteen_bits() -> None:
    samples = synthesize("one", "en", Voice("m1")) / 2
    assert np.abs(decode_audio(encode_flac(samples)).numpy() - samples).max() < 2**-14


def test_voices_are_of_their_split_and_vary() -> None:
    for held_out, variants in ((False, TRAIN_VARIANTS), (True, HELD_OUT_VARIANTS)):
        voices = [draw_voice(Random(seed), held_out) for seed in range(400)]
        assert {voice.variant for voice in voices} == set(variants)
        assert {voice.words_per_minute for voice in voices} == set(WORDS_PER_MINUTE)
        assert {voice.pitch for voice in voices} == set(PITCHES)
    assert not set(TRAIN_VARIANTS) & set(HELD_OUT_VARIANTS)


def test_held_out_clips_have_one_loudness_and_training_clips_many() -> None:
    tone = np.sin(np.arange(4_000) / 8).astype(np.float32)
    for held_out in (True, False):
        clips = [decode_audio(finished_clip(tone, Random(seed), held_out)) for seed in range(5)]
        peaks = {round(float(clip.abs().max()), 2) for clip in clips}
        assert peaks == {HELD_OUT_PEAK} if held_out else len(peaks) > 1


def test_a_sample_has_image_clip_and_prompt_in_this_order_and_leaves_out_what_there_is_not() -> None:
    whole = audio_sample(b"flac", "What?", "7", "vs", "en", image=b"png", is_measured=True)
    kinds = [part["type"] for part in whole.record["messages"][0]["content"]]
    assert kinds == ["image", "audio", "text"] and whole.media == {
        AUDIO_MEMBER: b"flac",
        IMAGE_MEMBER: b"png",
    }
    assert (whole.record["language"], whole.record["answers"]) == ("en", ["7"])
    bare = audio_sample(b"flac", "", "7", "sqqa")
    assert bare.record == {
        "messages": [
            {"role": "user", "content": [{"type": "audio", "audio": AUDIO_MEMBER}]},
            {"role": "assistant", "content": "7"},
        ],
        "task": "sqqa",
    }

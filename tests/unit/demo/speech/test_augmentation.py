"""Augmentation changes how a clip is heard, within its bounds."""

import numpy as np

from phi4train.demo.speech.augmentation import SNR_DB, add_noise, add_reverb, augment
from phi4train.demo.speech.synthesis import SAMPLE_RATE_HZ, Voice, synthesize


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

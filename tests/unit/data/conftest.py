"""Fixtures of the data engine's tests."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import Tokenizer, train_bpe
from phi4train.data.shards.mixture import Mixture, index_manifest, open_mixture
from tests.unit.data.small_shards import limits_of, words, write_manifest, write_questions, write_texts


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    return train_bpe([words(random.Random(0), 2000)], 384, path)


@pytest.fixture
def limits() -> Limits:
    return limits_of(64)


@pytest.fixture
def open_all(tmp_path: Path, tokenizer: Tokenizer) -> Callable[..., Mixture]:
    """Indexes and opens the sources that lie in the test's folder."""

    def opened(*sources: str, weight_by: str = "samples") -> Mixture:
        manifest = write_manifest(tmp_path, *sources, weight_by=weight_by)
        index_manifest(manifest, tmp_path, tmp_path / "cache", tokenizer)
        return open_mixture(manifest, tmp_path, tmp_path / "cache", tokenizer)

    return opened


@pytest.fixture
def mixture(tmp_path: Path, open_all: Callable[..., Mixture]) -> Mixture:
    """Texts and questions about images, half and half."""
    write_texts(tmp_path)
    write_questions(tmp_path)
    return open_all("text", "vision")

"""A mixture of a user's own, for the verbs of `data`."""

import random
from pathlib import Path

import pytest

from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.mixture import index_manifest
from tests.unit.data.small_shards import words, write_manifest, write_texts


@pytest.fixture
def own_words(tmp_path: Path) -> list[str]:
    """Name and settings of nine texts that are written and indexed."""
    tokenizer = train_bpe([words(random.Random(0), 2000)], 384, tmp_path / "tokenizer.json")
    write_texts(tmp_path, 9)
    manifest = write_manifest(tmp_path, "text")
    index_manifest(manifest, tmp_path, tmp_path / ".cache", tokenizer)
    settings = ["stage=lm_sft", "scale=demo", "tokenizer=tokenizer.json", f"run.data_root={tmp_path}"]
    return [manifest.reference, *settings]

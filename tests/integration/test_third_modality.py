"""The sensor example: a modality that is only registered trains, and moves nothing else by a bit."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from rich.console import Console
from torch import Tensor

from phi4train.batch import AudioInputs, Batch, ImageInputs
from phi4train.checkpoint.artifact import open_artifact
from phi4train.cli.main import main
from phi4train.config.load import load_config
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from phi4train.modality import unregister_modality
from phi4train.model.components import build_model, parameters_of
from phi4train.model.shapes import (
    AudioShape,
    LanguageModelShape,
    LoraShape,
    ModelShape,
    RopeShape,
    VisionShape,
)
from phi4train.training.stage import train_stage
from tests.stage_workspace import QUICK

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sensor"


@pytest.fixture
def sensor_modality(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's module, imported; afterwards nothing of it is known."""
    monkeypatch.syspath_prepend(EXAMPLE)
    yield importlib.import_module("sensor_modality")
    del sys.modules["sensor_modality"]
    unregister_modality("sensor")


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    """Data, a tokenizer and the language model that the example starts from, two steps old."""
    words = ["What is the trend? It is rising, falling or flat: 4, 8, 16, 32 readings."] * 40
    tokenizer = tmp_path / "data" / "demo" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    train_bpe(iter(words), 320, tokenizer)
    with ShardWriter(tmp_path / "data" / "words") as writer:
        for i, text in enumerate(words):
            writer.write(str(i), {"text": text})
    manifest = tmp_path / "words.yaml"
    manifest.write_text(
        "name: words\ndescription: d\nsources: [{name: w, shards: [words-*.tar], weight: 1, licence: CC0}]\n"
    )
    common = [*QUICK, f"run.root={tmp_path}/runs", f"run.data_root={tmp_path}/data"]
    parent = [
        *("stage=lm_sft", *common, "parents=[]", "init.language_model=fresh"),
        *(f"data.manifest={manifest}", "evaluation.manifest=null"),
    ]
    assert main(["data", "index", *parent]) == 0
    train_stage(load_config(parent), Console(quiet=True))
    return common


def run_python(*arguments: str) -> str:
    """What a process of its own prints: registrations must come from it, and end with it."""
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_example_runs_from_the_command_line(overrides: list[str], tmp_path: Path) -> None:
    own = ["stage=sensor_sft", *overrides, "--config-dir", str(EXAMPLE)]
    run_python(str(EXAMPLE / "sensor_data.py"), "--data-root", str(tmp_path / "data"), "--samples", "40")
    commands = [
        ["data", "index", "demo_sensor_sft", "demo_sensor_sft_eval", *own],
        *([verb, kind, *own] for verb, kind in [("data", "check"), ("data", "stats"), ("data", "show")]),
        [*own, "hardware.num_workers=1"],
        [*own, "hardware.num_workers=1"],
        ["evaluate", "--show", "1", *own],
    ]
    run_all = f"for words in {commands}: print('exit', main(words), flush=True)"
    code = f"from phi4train.cli.main import main\n{run_all}"
    printed = run_python("-c", code)
    assert printed.count("exit 0\n") == len(commands), printed
    for told in [
        "demo_sensor_sft: 1 shards indexed",
        "sensor: 40 items",
        "modes: sensor 40",
        "sensor 0.sensor: 16 tokens at 1, 128 readings",
        "sensor_sft is done",
        "sensor_trend",
    ]:
        assert told in printed
    artifact = open_artifact(tmp_path / "runs" / "sensor_sft" / "demo" / "artifact", "the test")
    assert set(artifact.lineage.components) == {"sensor_encoder", "sensor_projector", "lora.sensor"}
    metrics = (artifact.path.parent / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [0, 1]


SHAPE = ModelShape(
    LanguageModelShape(
        61,
        64,
        48,
        2,
        4,
        2,
        rope=RopeShape(short_factor=[1.0] * 6, long_factor=[2.0] * 6),
        initializer_range=0.2,
    ),
    VisionShape(32, 48, 3, 2, crop_size=28, patch_size=7),
    AudioShape(8, 32, 48, 2, 2, subsampling_channels=8, window_tokens=5, bias_max_distance=4),
    {name: LoraShape(4, 8) for name in ("vision", "speech", "sensor")},
    {"sensor_encoder.width": 32},
)
OWN = (
    *("language_model", "vision_encoder", "vision_projector", "audio_encoder", "audio_projector.speech"),
    *("lora.vision", "lora.speech"),
)
SENSOR = ("sensor_encoder", "sensor_projector", "lora.sensor")


@torch.no_grad()
def rows_by_sample(components: tuple[str, ...], batch: Batch) -> dict[str, Tensor]:
    """Hidden rows of each sample, from a model of a fixed seed whose adapters do something."""
    model = build_model(SHAPE, components, seed=0).eval()
    for component in components:
        for key, parameter in parameters_of(model, component).items():
            if "lora_B" in key:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    return dict(zip(batch.tasks, model(batch).split(batch.sample_lengths), strict=True))


def batch_of_all(last: str, **media: object) -> Batch:
    """A text, a vision and a speech sample, and a last one of another mode, 20 tokens each."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(61, (80,), generator=generator)
    crops = torch.randn(2, 3, 28, 28, generator=generator)
    image = ImageInputs(crops, torch.ones(2, 4, 4, dtype=torch.bool), ((1, 1),), torch.arange(21, 34))
    audio = AudioInputs(torch.randn(90, 8, generator=generator), (90,), ("speech",), torch.arange(42, 54))
    names = ("text", "vision", "speech")
    return Batch(
        input_ids_T=ids,
        position_ids_T=torch.arange(20).repeat(4),
        labels_T=ids,
        sample_lengths=(20,) * 4,
        modes=(*names, last),
        tasks=(*names, "last"),
        keys=(*names, "last"),
        media={"image": image, "audio": audio, **media},  # type: ignore[dict-item]
    )


def test_other_modes_stay_bit_identical_beside_the_modality_in_a_batch_of_the_same_lengths(
    request: pytest.FixtureRequest,
) -> None:
    text_last = batch_of_all("text")
    without = rows_by_sample(OWN, text_last)
    sensor_modality = request.getfixturevalue("sensor_modality")
    registered = rows_by_sample(OWN, text_last)
    readings = torch.randn(9, 8, generator=torch.Generator().manual_seed(1))
    inputs = sensor_modality.SensorInputs(readings, torch.arange(9), torch.arange(63, 72))
    beside_sensor = rows_by_sample((*OWN, *SENSOR), batch_of_all("sensor", sensor=inputs))
    for name in ("text", "vision", "speech"):
        assert torch.equal(registered[name], without[name])
        assert torch.equal(beside_sensor[name], without[name])
    assert torch.equal(registered["last"], without["last"])
    assert not torch.equal(beside_sensor["last"], without["last"])


def test_a_sensor_sample_trains_all_its_components_and_no_other_adapter(sensor_modality: ModuleType) -> None:
    inputs = sensor_modality.SensorInputs(torch.randn(9, 8), torch.arange(9), torch.arange(3, 12))
    whole = batch_of_all("sensor")
    alone = Batch(
        whole.input_ids_T[60:], torch.arange(20), whole.labels_T[60:], (20,), ("sensor",), ("t",), ("k",),
        {"sensor": inputs},
    )  # fmt: skip
    model = build_model(SHAPE, (*OWN, *SENSOR), seed=0)
    model(alone).square().sum().backward()
    for component in SENSOR:
        gradients = [parameter.grad for parameter in parameters_of(model, component).values()]
        assert all(gradient is not None for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients if gradient is not None)
    assert all(parameter.grad is None for parameter in parameters_of(model, "lora.vision").values())


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"", "bad_sensor"), (b"SNSR\x02\0\0\0aaaa", "bad_sensor"), (b"RIFF\x01\0\0\0aaaa", "bad_sensor")],
)
def test_a_broken_series_is_a_bad_sample(sensor_modality: ModuleType, content: bytes, cause: str) -> None:
    with pytest.raises(SampleError) as caught:
        sensor_modality.SensorKind().measure(content)
    assert caught.value.cause == cause

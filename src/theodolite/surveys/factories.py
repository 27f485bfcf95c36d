"""``file.py:factory`` and ``package.module:factory``: from a name on a command line to a target."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from theodolite.errors import InvalidArgument, InvalidType, TheodoliteError
from theodolite.objective import Objective
from theodolite.surveys.target import Target, as_target

RAISED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What the user's file may raise; anything else goes through as it is."""

FORM = "write file.py:function or package.module:function"


def parse_arguments(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` texts as keyword arguments: Python literals where they are, else text.

    Nothing is evaluated: only literals are recognized. Raises `InvalidArgument` for a text
    without ``=`` or a key that is no name.

    >>> parse_arguments(["width=8", "skip=True", "rate=1e-3", "data=fashion"])
    {'width': 8, 'skip': True, 'rate': 0.001, 'data': 'fashion'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InvalidArgument(
                f"an argument must be key=value with a name as key; got {pair!r}.",
                fix="for example -a width=16.",
                code="E-S20",
            )
        try:
            found[key] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            found[key] = text
    return found


def parse_name(name: str) -> tuple[str, str]:
    """A target's name as (file or module, function); the function is ``build`` if not given."""
    home, colon, attribute = name.rpartition(":")
    if not colon:
        home, attribute = name, "build"
    parts = attribute.split(".")
    if not home or "\0" in name or not all(p.isidentifier() for p in parts):
        raise InvalidArgument(f"{name!r} does not name a target.", fix=FORM + ".", code="E-S21")
    return home, attribute


def resolved_name(name: str) -> str:
    """The same name with the file's absolute path, so that it works from any folder."""
    home, attribute = parse_name(name)
    is_file = home.endswith(".py")
    return f"{Path(home).resolve()}:{attribute}" if is_file else f"{home}:{attribute}"


@contextmanager
def importing(folder: Path) -> Iterator[None]:
    """Let modules beside the target be imported, for the duration of the call."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def load_target(
    name: str, arguments: Mapping[str, Any] | None = None, *, device: str | None = None
) -> Target:
    """Call the factory called `name` with `arguments` and return its target.

    This runs the code in the file. ``device`` becomes torch's default device while it runs, so
    that what the factory creates lies there. Raises `InvalidArgument` or `InvalidType` that name
    a missing file, a missing function, an argument it does not take, what it raised (chained) or
    what it returned instead of a `Target` or an `Objective`.
    """
    home, attribute = parse_name(name)
    is_file = home.endswith(".py")
    folder = Path(home).resolve().parent if is_file else Path.cwd()
    with importing(folder):
        module = from_file(Path(home)) if is_file else from_module(home)
        factory = found(module, attribute, name)
        check_arguments(factory, dict(arguments or {}), name)
        made = called(factory, dict(arguments or {}), name, device)
    if not isinstance(made, Target | Objective):
        raise InvalidType(
            f"{name} returned {type(made).__name__}; it must return a td.Target or a td.Objective.",
            fix="end it with: return td.Target(td.Objective(model, loss, data)).",
            code="E-S25",
        )
    target = as_target(made)
    return target if target.name else replace(target, name=default_title(name, target))


def default_title(name: str, target: Target) -> str:
    """The file's name and the function's, but ``build``; in a package the model's class."""
    home, function = parse_name(name)
    if not home.endswith(".py"):
        return target.title
    return Path(home).stem + ("" if function == "build" else f":{function}")


def from_file(path: Path) -> ModuleType:
    """The module in a file, under its own name, so that what it defines can be pickled."""
    if not path.is_file():
        raise InvalidArgument(
            f"there is no file {path}.",
            where=str(Path.cwd()),
            fix="theodolite init writes a template to start from.",
            code="E-S22",
        )
    name = module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except RAISED as error:
        del sys.modules[name]
        raise failed(error, f"{path} could not be imported", str(path)) from error
    return module


def module_name(path: Path) -> str:
    """The file's stem, or a longer name where another module already has that one."""
    held = sys.modules.get(path.stem)
    same = held is not None and getattr(held, "__file__", None) == str(path)
    if held is None or same:
        return path.stem
    return f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"


def from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except RAISED as error:
        raise failed(error, f"module {name} could not be imported", str(Path.cwd())) from error


def failed(error: BaseException, what: str, where: str) -> InvalidArgument:
    """An error in the user's own code, with the line it came from."""
    text = (str(error).strip() or "no message").splitlines()[0]
    frames = [f for f in trace(error) if "theodolite" not in Path(f[0]).parts]
    at = f"{frames[-1][0]}, line {frames[-1][1]}" if frames else where
    kept = error if isinstance(error, TheodoliteError) else None
    return InvalidArgument(
        f"{what}: {type(error).__name__}: {kept.what if kept else text}",
        where=at,
        why=kept.why if kept else "the code of the target raised it; --debug shows the traceback.",
        fix=kept.fix if kept and kept.fix else "correct it there and run the command again.",
        code="E-S23",
    )


def trace(error: BaseException) -> list[tuple[str, int]]:
    found, step = [], error.__traceback__
    while step is not None:
        found.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    return [(file, line) for file, line in found if not file.startswith("<")]


def found(module: ModuleType, attribute: str, name: str) -> Any:
    """The factory in its module; raises naming the functions there are."""
    value: Any = module
    for part in attribute.split("."):
        value = getattr(value, part, None)
    if callable(value):
        return value
    own = [
        k
        for k, v in vars(module).items()
        if inspect.isfunction(v) and v.__module__ == module.__name__
    ]
    raise InvalidArgument(
        f"{name} names no function.",
        where=str(getattr(module, "__file__", module.__name__)),
        why=f"the functions there are: {', '.join(own[:8]) or 'none'}"
        + (f" and {len(own) - 8} more." if len(own) > 8 else "."),
        fix=FORM + ".",
        code="E-S24",
    )


def check_arguments(factory: Any, arguments: Mapping[str, Any], name: str) -> None:
    """Raise when the factory cannot be called with these arguments, before calling it."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise InvalidArgument(
            f"{name}{signature} cannot be called so: {error}.",
            where=f"arguments given: {', '.join(arguments) or 'none'}",
            fix="pass what it takes as -a key=value.",
            code="E-S26",
        ) from error


def called(factory: Any, arguments: Mapping[str, Any], name: str, device: str | None) -> Any:
    try:
        place = torch.device(device) if device is not None else nullcontext()
    except RuntimeError as error:
        raise InvalidArgument(
            f"device must be one torch knows; got {device!r}.",
            why=str(error).splitlines()[0],
            fix="pass cpu, cuda, cuda:0 or mps.",
            code="E-S27",
        ) from error
    try:
        with place:
            return factory(**arguments)
    except RAISED as error:
        raise failed(error, f"{name} failed", name) from error

"""Weights on disk: written whole or not at all, read without running what a file says."""

from __future__ import annotations

import os
import pickle
import re
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from theodolite.errors import InvalidType, StorageError, UnsupportedModel

PREFIXES = ("module.", "_orig_mod.")
_DAMAGE = (
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    OSError,
)
_PLAIN = "save the weights alone: safetensors.torch.save_file(model.state_dict(), path)"


def load_state(path: str | Path, *, key: str | None = None) -> dict[str, Tensor]:
    """The tensors by name in a ``.safetensors`` file or a file of ``torch.save``, on the CPU.

    Nothing in the file is ever executed: a ``torch.save`` file is read with
    ``weights_only=True``, and one that holds anything but tensors and plain containers is
    refused. Where the tensors lie in a larger dictionary (with an optimizer, an epoch), ``key``
    names the entry; without it, the only entry that maps names to tensors is taken.

    Raises `StorageError` for a file that is missing, damaged, compressed (it may be far larger
    than it looks), or would run code. Whether the values are finite is not checked.
    """
    path = Path(path)
    if not _is_file(path):
        raise StorageError(
            f"there is no file {shown(path)}.",
            where=shown(path.parent),
            fix="pass the path of a .safetensors file or of one that torch.save wrote.",
            code="E-T60",
        )
    if path.suffix == ".safetensors":
        try:
            return {k: v.clone() for k, v in safetensors.torch.load_file(path).items()}
        except (SafetensorError, *_DAMAGE) as error:
            raise _damaged(path, error) from error
    return _tensors(read_plain(path), path, key)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a path that no system can hold is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def shown(path: Path) -> str:
    """A path as an error shows it: its end where it is long."""
    text = str(path)
    return text if len(text) <= 200 else f"...{text[-197:]}"


def read_plain(path: Path) -> Any:
    """What ``torch.save`` wrote, if it is tensors and plain containers; refused otherwise."""
    try:
        _refuse_compressed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise (_refused if _is_pickle(path) else _damaged)(path, error) from error
    except StorageError:
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2)[:1] == b"\x80" or zipfile.is_zipfile(path)


def _refused(path: Path, error: Exception) -> StorageError:
    named = re.search(r"(?i:global|class)[ :]+(?:GLOBAL )?([\w.]+\.\w+)", str(error))
    why = f"it asks for {named[1]}" if named else "it is a pickle that torch.save did not write"
    return StorageError(
        f"{path.name} was refused: it holds more than tensors, and loading it would run code.",
        where=str(path),
        why=why,
        fix=_PLAIN,
        code="E-T61",
    )


def _damaged(path: Path, error: BaseException) -> StorageError:
    return StorageError(
        f"{path.name} is not a whole checkpoint: it is truncated, damaged or of another kind.",
        where=str(path),
        why=re.split(r"\. |\n", str(error).strip())[0] or type(error).__name__,
        fix="copy or save it again; .safetensors and torch.save files are read",
        code="E-T62",
    )


def _refuse_compressed(path: Path) -> None:
    """torch writes plain archives; a compressed or overlapping one is not from torch."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = any(e.compress_type != zipfile.ZIP_STORED for e in entries)
    if packed or sum(e.file_size for e in entries) > path.stat().st_size:
        raise StorageError(
            f"{path.name} was refused: its archive is compressed, which torch.save never does.",
            where=str(path),
            why="it may unpack to far more memory than its size shows",
            fix=_PLAIN,
            code="E-T63",
        )


def _tensors(content: Any, path: Path, key: str | None) -> dict[str, Tensor]:
    entries = content if isinstance(content, Mapping) else {}
    if key is not None:
        chosen = entries.get(key)
    elif _is_state(entries):
        chosen = entries
    else:
        inner = [v for v in entries.values() if _is_state(v)]
        chosen = inner[0] if len(inner) == 1 else None
    if chosen is None or not _is_state(chosen):
        names = ", ".join(sorted(map(str, entries))[:8]) or type(content).__name__
        raise StorageError(
            f"{path.name} holds no single mapping of names to tensors"
            + (f" under {key!r}." if key is not None else "."),
            where=str(path),
            why=f"its entries are: {names}",
            fix="pass key= with the entry that holds the weights",
            code="E-T64",
        )
    return {str(k): v.detach() for k, v in chosen.items()}


def _is_state(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def load_weights(model: nn.Module, path: str | Path, *, key: str | None = None) -> nn.Module:
    """Copy the tensors of a file into `model`, in place, and return it.

    Names and shapes must agree exactly, but for a "module." or "_orig_mod." that wrappers put
    before every name. Narrower types are widened; a type that would lose digits is refused, and
    so are sparse tensors and whole numbers in place of others (the codes of a quantized model).
    Nothing is written to `model` unless everything fits.

    Raises what `load_state` raises, and `UnsupportedModel` listing the first differences.
    """
    own = {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
    state = _as_named_in(own, load_state(path, key=key))
    problems = [f"{k} is missing" for k in own if k not in state]
    problems += [f"{k} is not in the model" for k in state if k not in own]
    for name in own.keys() & state.keys():
        problems += _misfit(name, own[name], state[name])
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        rest = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UnsupportedModel(
            f"{Path(path).name} does not fit the model: {shown}{rest}.",
            where=str(path),
            fix="build the model the weights were saved from",
            code="E-T65",
        )
    model.load_state_dict(state)
    return model


def _as_named_in(own: Mapping[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` without, or with, the prefix of a wrapper that only one of the two has."""
    for prefix in PREFIXES:
        ours, theirs = (all(k.startswith(prefix) for k in names) for names in (own, state))
        if theirs and not ours:
            state = {k.removeprefix(prefix): v for k, v in state.items()}
        elif ours and not theirs:
            state = {prefix + k: v for k, v in state.items()}
    return state


def _misfit(name: str, own: Tensor, other: Tensor) -> list[str]:
    kinds = {
        "on the meta device, without values": other.is_meta,
        "quantized": other.is_quantized,
        "sparse": other.layout != torch.strided,
        f"of whole numbers ({other.dtype})": not (
            other.is_floating_point() or other.is_complex() or not own.is_floating_point()
        ),
    }
    odd = [kind for kind, yes in kinds.items() if yes]
    if odd:
        return [f"{name} is {odd[0]}"]
    if own.shape != other.shape:
        return [f"{name} has shape {tuple(other.shape)}, not {tuple(own.shape)}"]
    if torch.promote_types(own.dtype, other.dtype) != own.dtype:
        return [f"{name} is {other.dtype}, more than {own.dtype} can hold"]
    return []


def save_state(state: Mapping[str, Any], path: str | Path) -> Path:
    """Write tensors by name as ``.safetensors``, whole or not at all, and return the path.

    Tensors that share memory are stored once each. Raises `StorageError` where the disk
    refuses, `InvalidType` for an entry that is not a tensor.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InvalidType(
                f"{name} must be a tensor to be saved; got {type(value).__name__}.", code="E-T66"
            )
    apart = {
        k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in state.items()
    }
    return write_whole(Path(path), safetensors.torch.save(apart))


def write_whole(path: Path, content: bytes) -> Path:
    """Write `content` beside `path`, flush it to the disk and move it into place."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            name = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error.strerror or error}.",
            fix="free space or choose another folder, then run the same command again",
            code="E-T67",
        ) from error
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)
    return path

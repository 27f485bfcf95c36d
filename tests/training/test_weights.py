"""Files of weights: what is read, what is refused, and that nothing in them ever runs."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from theodolite.errors import InvalidType, StorageError, UnsupportedModel
from theodolite.models import language_model, mlp
from theodolite.training import load_state, load_weights, save_state


class Malice:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_a_malicious_pickle_is_refused_and_does_not_run(
    bare: bool, legacy: bool, tmp_path: Path
) -> None:
    # X01; kills: weights_only=False
    canary, path = tmp_path / "canary", tmp_path / "model.pt"
    content = Malice(canary) if bare else {"weight": torch.ones(2), "x": Malice(canary)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(StorageError, match=r"refused.*would run code") as caught:
        load_state(path)
    assert caught.value.code == "E-T61"
    assert "system" in caught.value.why
    assert caught.value.__cause__ is not None
    with pytest.raises(StorageError, match="would run code"):
        load_weights(mlp((2, 1)), path)
    assert not canary.exists()
    torch.load(path, weights_only=False)  # the canary does sing where it is let
    assert canary.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_torch_did_not_write_is_refused(protocol: int, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Malice(canary), protocol))
    with pytest.raises(StorageError, match=r"was refused|not a whole checkpoint"):
        load_state(path)
    assert not canary.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    # X02
    torch.save(nn.Linear(2, 1), tmp_path / "model.pt")
    with pytest.raises(StorageError, match="would run code") as caught:
        load_state(tmp_path / "model.pt")
    assert caught.value.why == "it asks for torch.nn.modules.linear.Linear"
    assert "state_dict()" in caught.value.fix


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    # X03; kills: unpacking whatever size the archive claims
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "plain.pt")
    bomb = tmp_path / "bomb.pt"
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as source,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(StorageError, match=r"bomb.pt was refused: its archive is compressed"):
        load_state(bomb)


def test_a_header_of_four_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((4 << 30).to_bytes(8, "little") + b"{}")
    with pytest.raises(StorageError, match="not a whole checkpoint"):
        load_state(path)


@pytest.mark.parametrize("kind", ["new", "legacy", "safetensors"])
def test_files_cut_anywhere_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    # X04; kills: a bare torch, zip or pickle error
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pt")
    if kind == "safetensors":
        save_state(mlp((3, 2)).state_dict(), path)
    else:
        torch.save(mlp((3, 2)).state_dict(), path, _use_new_zipfile_serialization=kind == "new")
    content = path.read_bytes()
    for cut in {*range(0, len(content), 29), len(content) - 1}:
        path.write_bytes(content[:cut])
        with pytest.raises(StorageError, match=r"model\.\w+ (is not a whole|was refused)"):
            load_state(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no file .*nothing.pt"):
        load_state(tmp_path / "nothing.pt")


def test_safetensors_and_torch_files_round_trip_with_shared_tensors(tmp_path: Path) -> None:
    # kills: safetensors' refusal of tied weights, a transposed or strided tensor saved wrongly
    state = {**language_model(7, width=4, heads=1, depth=1).state_dict()}
    state["strided"] = torch.arange(12.0).reshape(3, 4).T
    state["empty"], state["scalar"] = torch.zeros(0, 3), torch.tensor(3)
    assert _equal(load_state(save_state(state, tmp_path / "a.safetensors")), state)
    torch.save(state, tmp_path / "a.pt")
    assert _equal(load_state(tmp_path / "a.pt"), state)
    with pytest.raises(InvalidType, match="extra must be a tensor to be saved; got int"):
        save_state({"extra": 3}, tmp_path / "b.safetensors")


def test_weights_are_found_inside_a_larger_checkpoint(tmp_path: Path) -> None:
    # kills: taking the first mapping, guessing between two
    model, path = mlp((3, 2)), tmp_path / "all.pt"
    content = {"epoch": 3, "optimizer": {"state": {}}, "state_dict": model.state_dict()}
    torch.save(content, path)
    assert _equal(load_state(path), dict(model.state_dict()))
    torch.save({**content, "average": {"weight": torch.ones(1)}}, path)
    with pytest.raises(StorageError, match="no single mapping") as caught:
        load_state(path)
    assert "average, epoch, optimizer, state_dict" in caught.value.why
    assert list(load_state(path, key="average")) == ["weight"]
    with pytest.raises(StorageError, match="under 'epoch'"):
        load_state(path, key="epoch")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_prefixes_of_wrappers_are_ignored_both_ways(prefix: str, tmp_path: Path) -> None:
    # kills: removing a prefix the model itself has
    source, target = mlp((3, 2)), mlp((3, 2))
    wrapped = {prefix + k: v for k, v in source.state_dict().items()}
    load_weights(target, save_state(wrapped, tmp_path / "a.safetensors"))
    assert _equal(dict(target.state_dict()), dict(source.state_dict()))

    class Wrapper(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.add_module(prefix[:-1], inner)

    for state in (wrapped, source.state_dict()):
        wrapper = Wrapper(mlp((3, 2)))
        load_weights(wrapper, save_state(state, tmp_path / "a.safetensors"))
        assert _equal(dict(wrapper.state_dict()), wrapped)


def test_misfits_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    # kills: strict=False, a partial load, a silent loss of digits
    model = mlp((3, 4, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    other = {**before, "9.weight": torch.ones(1), "1.weight": torch.ones(2, 2)}
    del other["3.bias"]
    with pytest.raises(UnsupportedModel, match="does not fit the model") as caught:
        load_weights(model, save_state(other, tmp_path / "a.safetensors"))
    for words in ("3.bias is missing", "9.weight is not in", "shape (2, 2), not (4, 3)"):
        assert words in caught.value.what
    wide = {k: v.double() + 1 for k, v in before.items()}
    with pytest.raises(UnsupportedModel, match=r"float64, more than torch.float32 can hold"):
        load_weights(model, save_state(wide, tmp_path / "a.safetensors"))
    assert _equal(dict(model.state_dict()), before)
    half = {k: v.bfloat16() for k, v in before.items()}
    load_weights(model, save_state(half, tmp_path / "a.safetensors"))
    assert _equal(dict(model.state_dict()), {k: v.float() for k, v in half.items()})


def test_only_the_first_five_differences_are_shown(tmp_path: Path) -> None:
    path = save_state({"x": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UnsupportedModel, match="and 2 more"):
        load_weights(mlp((3, 4, 4, 2)), path)

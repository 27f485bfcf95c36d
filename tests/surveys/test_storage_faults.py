"""Full disks, refused folders, damaged and missing bytes: named, and nothing saved is lost.

Oracle: an undisturbed run of the same plan, byte for byte; errors raised on purpose at every write.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import zarr.storage._local

from theodolite.errors import InvalidArgument, StorageError
from theodolite.surveys import integrity
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.durable import ensure_writable, write_bytes
from theodolite.surveys.execution import execute
from theodolite.surveys.folder import opened_run, run_path
from theodolite.surveys.reading import load_run, read_group
from theodolite.surveys.store import open_store

from .toys import toy_plan

CONFIGURATION = Configuration(("toy",), {"toy": {"rows": 2}})
IDENTITY = {"seed": 0}


def run(folder: Path, calls: list[tuple[str, int]], rows: int = 2) -> None:
    with opened_run(folder, CONFIGURATION, IDENTITY) as place:
        execute(toy_plan(calls, rows=rows), None, place.store, place.journal)


def arrays(folder: Path) -> dict[str, bytes]:
    root = folder / "results.zarr"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def failing_at(monkeypatch: pytest.MonkeyPatch, k: int, number: int) -> list[str]:
    """Let the k-th write of any kind fail; returns the list that notes every write."""
    seen: list[str] = []
    put, write, replace = zarr.storage._local._put, os.write, os.replace

    def guard(name):
        seen.append(name)
        if len(seen) == k:
            raise OSError(number, os.strerror(number), "disk")

    def faulty_put(*args, **kw):
        guard("chunk")
        return put(*args, **kw)

    def faulty_write(*args):
        guard("log")
        return write(*args)

    def faulty_replace(*args):
        guard("file")
        return replace(*args)

    monkeypatch.setattr(zarr.storage._local, "_put", faulty_put)
    monkeypatch.setattr("theodolite.surveys.journal.os.write", faulty_write)
    monkeypatch.setattr("theodolite.surveys.durable.os.replace", faulty_replace)
    return seen


def test_a_full_disk_at_any_write_is_named_and_costs_at_most_one_unit(tmp_path, monkeypatch):
    # K07; kills: a unit marked done before its data; a bare OSError; a half-written file kept
    for name in ("git_state", "versions", "machine"):
        monkeypatch.setattr(f"theodolite.surveys.provenance.{name}", lambda *_: {})
    with monkeypatch.context() as patch:
        writes = failing_at(patch, 0, errno.ENOSPC)
        run(tmp_path / "whole", [], rows=1)
    expected = arrays(tmp_path / "whole")
    assert {"chunk", "log", "file"} <= set(writes)
    assert len(writes) > 30
    for k in range(1, len(writes) + 1):
        folder, calls = tmp_path / f"run{k}", []
        with monkeypatch.context() as patch:
            failing_at(patch, k, errno.ENOSPC)
            with pytest.raises(StorageError, match="No space left while") as caught:
                run(folder, calls, rows=1)
        assert caught.value.code == "E-K02"
        assert "free space and run the same command again" in caught.value.fix
        run(folder, calls, rows=1)
        assert arrays(folder) == expected, f"after failing write {k}"
        assert len(calls) <= 3
        assert not list(folder.rglob("*.partial"))


def test_how_much_is_safe_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("theodolite.surveys.provenance.git_state", lambda folder: {})

    def fill(name, unit):
        if name == "whole":
            failing_at(monkeypatch, 1, errno.ENOSPC)

    with (
        pytest.raises(StorageError, match="3 of 4 units are safe"),
        opened_run(tmp_path / "run", CONFIGURATION, IDENTITY) as place,
    ):
        execute(toy_plan([], rows=3, hook=fill), None, place.store, place.journal)


@pytest.mark.parametrize(("number", "code"), [(errno.EIO, "E-K03"), (errno.EROFS, "E-K01")])
def test_other_errors_of_the_disk_keep_their_reason(tmp_path, monkeypatch, number, code):
    failing_at(monkeypatch, 1, number)
    with pytest.raises(StorageError, match=os.strerror(number)) as caught:
        write_bytes(tmp_path / "file", b"new")
    assert caught.value.code == code
    assert isinstance(caught.value.__cause__, OSError)


def test_replacing_a_file_leaves_the_old_one_when_it_fails(tmp_path, monkeypatch):
    # kills: writing in place
    write_bytes(tmp_path / "file", b"old")
    failing_at(monkeypatch, 1, errno.ENOSPC)
    with pytest.raises(StorageError):
        write_bytes(tmp_path / "file", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_computed(tmp_path):
    # K09; kills: finding out after the first hour of work
    calls = []
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/theodolite")):
        with pytest.raises((StorageError, InvalidArgument), match=r"E-K01|E-S31"):
            run(place, calls)
    assert calls == []


def test_no_permission_is_named(tmp_path, monkeypatch):
    def refuse(self, *args, **kw):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match=r"cannot be written: Permission denied\. \[E-K01\]"):
        ensure_writable(tmp_path)


@pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
def test_a_damaged_cell_is_named_and_repaired_alone(tmp_path, how):
    # kills: chunks without a checksum; a lost chunk read as NaN
    run(tmp_path / "run", [])
    chunk = tmp_path / "run/results.zarr/rows/loss/c/0/0"
    good = chunk.read_bytes()
    bad = {"flip": bytes([good[0], good[1] ^ 1]) + good[2:], "truncate": good[:3], "delete": b""}
    chunk.unlink() if how == "delete" else chunk.write_bytes(bad[how])
    with pytest.raises(StorageError, match=r"(?s)rows.*E-K06"):
        load_run(tmp_path / "run")
    plan, store = toy_plan(calls := [], rows=2), open_store(tmp_path / "run/results.zarr")
    with pytest.raises(StorageError, match=r"1 of its units cannot be read back \(0\)"):
        integrity.check(store, plan.groups[0])
    assert integrity.check(store, plan.groups[0], repair=True) == 1
    run(tmp_path / "run", calls)
    assert calls == [("rows", 0)]
    assert chunk.read_bytes() == good


def test_every_flipped_byte_of_a_cell_is_caught(tmp_path):
    # kills: a checksum over part of the bytes, or over none
    run(tmp_path / "run", [])
    for name in ("rows/loss/c/0/0", "rows/unit_status/c/0"):
        chunk = tmp_path / "run/results.zarr" / name
        good = chunk.read_bytes()
        for k in range(len(good)):
            chunk.write_bytes(good[:k] + bytes([good[k] ^ 0x10]) + good[k + 1 :])
            with pytest.raises(StorageError, match="E-K06"):
                read_group(open_store(tmp_path / "run/results.zarr"), "rows")
        chunk.write_bytes(good)


def test_leftovers_of_a_killed_writer_are_swept_away(tmp_path):
    run(tmp_path / "run", [])
    left = tmp_path / "run/results.zarr/rows/loss/c/0/0.abc.partial"
    left.write_bytes(b"half")
    run(tmp_path / "run", [])
    assert not left.exists()


@pytest.mark.parametrize(
    "name",
    [
        "a\0b",
        "runs/" + "x" * 300,
        "runs/CON",
        "runs/nul.txt",
        "runs/x.",
        "runs/x ",
        "",
        ".",
        "..",
        "/",
        "runs/\x1b[31m",
    ],
)
def test_names_no_run_can_have_are_refused(name):
    with pytest.raises(InvalidArgument, match=r"cannot be a run folder.*E-S30"):
        run_path(name)


def test_a_symbolic_link_as_run_folder_is_refused_and_a_real_one_is_not(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidArgument, match="symbolic link"):
        run_path(tmp_path / "link")
    assert run_path(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert run_path("runs/größe 1/../x") == Path("runs/größe 1/../x")


def test_fresh_removes_the_parts_of_a_run_and_nothing_else(tmp_path):
    # kills: rmtree of the folder, following a link out of it
    run(tmp_path / "run", [])
    (tmp_path / "run/notes.txt").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept.png").write_text("mine")
    (tmp_path / "run/figures").symlink_to(tmp_path / "elsewhere")
    with opened_run(tmp_path / "run", CONFIGURATION, {"seed": 1}, fresh=True) as place:
        execute(toy_plan(calls := [], rows=2), None, place.store, place.journal)
    assert len(calls) == 3
    assert (tmp_path / "run/notes.txt").read_text() == "mine"
    assert (tmp_path / "elsewhere/kept.png").exists()


def test_a_folder_with_other_files_is_not_made_a_run(tmp_path):
    (tmp_path / "main.py").write_text("print()")
    with pytest.raises(InvalidArgument, match="holds other files and no run"):
        run(tmp_path, [])
    assert [p.name for p in tmp_path.iterdir()] == ["main.py"]


def test_values_of_a_loaded_run_equal_what_was_computed(tmp_path):
    run(tmp_path / "run", [])
    tree = load_run(tmp_path / "run")
    assert list(tree.children) == ["rows", "whole"]
    assert np.isnan(tree["rows"]["loss"].values[1]).all()
    with pytest.raises(StorageError, match="holds no results"):
        load_run(tmp_path / "nothing")

"""The log keeps every whole record, wherever a lost machine tore it.

Oracle: the records that were written, cut at every byte.
"""

from __future__ import annotations

import warnings

import pytest

from theodolite.errors import TheodoliteWarning
from theodolite.surveys.journal import open_journal, read_journal


def test_torn_at_every_byte_all_whole_records_stay(tmp_path):
    # kills: a reader that stops at the first bad line, a writer that appends to a torn one
    path = tmp_path / "log.jsonl"
    journal = open_journal(path)
    for unit in range(3):
        journal.record("unit", group="größe\n\x00", unit=unit)
    content = path.read_bytes()
    ends = [k + 1 for k, byte in enumerate(content) if byte == 10]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = sum(e <= cut for e in ends)
        torn = cut not in (0, *ends)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            again = open_journal(path)
        assert [str(w.message)[:29] for w in caught] == ["1 incomplete record discarded"] * torn
        again.record("end")
        events = [(r["event"], r.get("unit")) for r in read_journal(path)]
        assert events == [("unit", k) for k in range(whole)] + [("end", None)]


@pytest.mark.parametrize("tail", [b"\0" * 64, b'{"event": "un', b"\xff\xfe", b"[1, 2]\n", b"12\n"])
def test_a_tail_that_is_no_record_is_dropped_with_a_warning(tmp_path, tail):
    path = tmp_path / "log.jsonl"
    open_journal(path).record("begin")
    path.write_bytes(path.read_bytes() + tail)
    with pytest.warns(TheodoliteWarning, match="1 incomplete record discarded"):
        open_journal(path)
    assert [r["event"] for r in read_journal(path)] == ["begin"]


def test_no_log_is_an_empty_log(tmp_path):
    assert read_journal(tmp_path / "log.jsonl") == []
    open_journal(None).record("begin")

"""``config.toml`` repeats a run exactly.

Oracle: Python's own TOML reader.
"""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from theodolite.errors import InvalidArgument
from theodolite.surveys.configuration import Configuration, from_table, read_toml, to_toml

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
values = st.recursive(numbers | names, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
tables = st.dictionaries(names, values, max_size=3)


@budget(max_examples=60, deadline=None)
@given(
    arguments=tables,
    settings=st.dictionaries(names, tables, max_size=2),
    target=st.none() | names,
    limit=st.none() | st.integers(1, 10**9),
)
def test_what_is_written_is_read_back(arguments, settings, target, limit):
    # kills: unquoted keys, unescaped text, floats written as integers, None written as text
    made = Configuration(
        ("planes", "trace"), settings, "quick", 3, limit, target, arguments, "a\\b.pt", None
    )
    table = {"measures": [], "settings": {}, **tomllib.loads(to_toml(made))}
    assert from_table({"arguments": {}, "settings": {}, **table}) == made


def test_a_setting_that_toml_cannot_hold_is_named():
    for value, message in ((object(), "must be a number, text"), ("a\udcff", "not UTF-8")):
        with pytest.raises(InvalidArgument, match=message):
            to_toml(Configuration(("a",), {"a": {"b": value}}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", r"unknown key 'sead'(?s:.*)did you mean 'seed'"),
        ("qqqq = 1", r"use one of measures"),
        ("seed = 1\nseed = 2", "not valid TOML"),
        ("seed = [", "not valid TOML"),
        ("seed = true", "seed in .* must be int; got True"),
        ("measures = 'planes'", "measures in .* must be a list of names"),
        ("measures = [1]", "measures in .* must be a list of names"),
        ("[settings]\nplanes = 3", "settings in .* must be tables"),
        ("seed = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_says_nonsense_is_named_with_its_key(tmp_path, text, message):
    path = tmp_path / "f.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        read_toml(path)


def test_a_missing_file_and_bytes_that_are_no_text_are_named(tmp_path):
    # kills: a name mistyped on a command line told as a fault of the disk
    with pytest.raises(InvalidArgument, match=r"there is no file .*nothing\.toml"):
        read_toml(tmp_path / "nothing.toml")
    (tmp_path / "f.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="not valid TOML"):
        read_toml(tmp_path / "f.toml")

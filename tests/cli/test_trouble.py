"""Mistakes, interruptions, hostile names and closed pipes: four lines at most, and the right code.

Oracle: the table of exit codes; signals really sent; a terminal's escape sequences.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theodolite.cli import failures, main, terminal
from theodolite.cli.options import parse_range, parse_span
from theodolite.errors import InvalidArgument

LINES = ("--measures", "lines", "-o", "runs/a")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["survye"], "survye"),
        (["survey"], "no target was given"),
        (["survey", "--sed", "3"], "Did you mean --seed"),
        (["survey", "mine.py:build", "--seed", "x"], "--seed"),
        (["survey", "mine.py:build", "--seed", "-1"], "seed must be at least 0"),
        (["survey", "mine.py:build", "--limit", "0"], "limit must be at least 1"),
        (["survey", "mine.py:build", "--preset", "fast"], "quick, standard, thorough"),
        (["survey", "mine.py:build", "--measures", "plane"], "did you mean 'planes'"),
        (["survey", "mine.py:build", "--measures", ","], "at least one measure"),
        (["survey", "mine.py:build", "-a", "width"], "must be key=value"),
        (["survey", "mine.py:build", "-a", "depth=3"], "unexpected keyword argument"),
        (["survey", "mine.py:build", "--time-budget", "soon"], "must look like 90s"),
        (["survey", "mine.py:build", "--device", "gpu"], "device must be one torch knows"),
        (["survey", "mine.py:build", "-o", "runs/" + "x" * 300], "longer than 255 bytes"),
        (["survey", "mine.py:build", "-o", "runs/a\0b"], "control character"),
        (["survey", "mine.py:build", "-o", "."], "cannot be a run folder"),
        (["survey", "none.py:build"], "there is no file"),
        (["survey", "mine.py:nothing"], "names no function"),
        (["survey", "mine.py:build", "--config", "none.toml"], "none.toml"),
        (["plane", "mine.py:build", "--x=-1:1:abc"], "--x must be low:high:steps"),
        (["plane", "mine.py:build", "--y", "1:-1:5"], "must increase"),
        (["plane", "mine.py:build", "--steps", "0"], "at least 2"),
        (["plane", "mine.py:build", "--span", "a"], "--span must be low:high"),
        (["line", "mine.py:build", "--normalize", "layers"], "filter, layer, model, none"),
        (["spectrum", "mine.py:build", "--probes", "0"], "probes of spectrum"),
        (["resume", "nowhere"], "holds no run to resume"),
        (["status", "nowhere"], "no such folder"),
        (["report", "nowhere"], "holds no results"),
        (["compare", "nowhere", "nowhere"], "holds no results"),
        (["survey", "mine.py:build", "--checkpoint", "none.pt"], "there is no file"),
        (["status"], "RUN"),
        (["report"], "no run was given"),
        (["list", "models"], "measures"),
        (["compare", "a"], "SECOND"),
        (["survey", "mine.py", "extra"], "extra"),
        (["plane", "mine.py", "--planes", "0"], "count of planes"),
    ],
)
def test_wrong_usage_is_named_with_code_two_and_nothing_is_written(call, place, argv, message):
    said = call(*argv)
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert said.code == 2
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["survey", "broken.py"], "ZeroDivisionError"),
        (["survey", "mine.py:build", "-o", "mine.py/run"], "is a file"),
    ],
)
def test_what_fails_is_named_with_code_one(call, place, argv, message):
    (place / "broken.py").write_text("def build():\n    return 1 / 0\n")
    said = call(*argv)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 12


def test_debug_shows_the_traceback_and_is_no_option_of_the_command(call):
    said = call("survey", "none.py", "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    assert "there is no file" in said.err


@pytest.mark.usefixtures("quick")
def test_escape_sequences_in_names_reach_no_terminal(call, place):
    # kills: names printed as they are (a title set, lines hidden, colors changed)
    hostile = "\x1b]0;owned\x07\x1b[2J[red]x\u202e\x9b31m"
    (place / "evil.py").write_text(
        "import mine\nfrom dataclasses import replace\n"
        f"def build():\n    return replace(mine.build(), name={hostile!r})\n"
    )
    said = call("survey", "evil.py", *LINES)
    assert said.code == 0
    assert not set(said.out + said.err) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert r"\x1b]0;owned\x07\x1b[2J[red]x\u202e\x9b31m" in said.err
    assert "\x1b" not in call("status", "runs/a").out
    assert call("survey", "mine.py:build", "-o", "runs/\x1b[31m").code == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_a_signal_saves_what_is_done_and_says_how_to_go_on(call, monkeypatch, how):
    # kills: a unit lost, a lock left behind, another exit code
    from theodolite.surveys.measures import lines

    real, calls = lines.line_values, []

    def stopped(*args, **kw):
        calls.append(kw)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT if how == "interrupt" else signal.SIGTERM)
            time.sleep(1)
        return real(*args, **kw)

    monkeypatch.setattr(lines, "line_values", stopped)
    if how == "interrupt":
        assert call("survey", "mine.py:build", *LINES).code == 130
    else:
        with pytest.raises(SystemExit) as caught:
            call("survey", "mine.py:build", *LINES)
        assert caught.value.code == 143
    said = call("status", "runs/a", "--json")
    status = json.loads(said.out)
    assert (status["left"], status["writer"]) == (3, None)
    ended = json.loads(Path("runs/a/provenance.json").read_text())["stretches"][-1]["ended"]
    assert ended == {"interrupt": "KeyboardInterrupt", "terminate": "SystemExit"}[how]
    assert call("resume", "runs/a").code == 0
    assert len(calls) == 6


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_told_in_four_lines(call, monkeypatch):
    import errno

    import zarr.storage._local

    def full(*args, **kw):
        raise OSError(errno.ENOSPC, "No space left on device")

    call("survey", "mine.py:build", *LINES, "--time-budget", "0")
    monkeypatch.setattr(zarr.storage._local, "_put", full)
    said = call("resume", "runs/a")
    assert (said.code, said.out) == (1, "")
    assert "No space left while writing" in said.err
    assert "1 of 6 units are safe" in said.err
    assert "free space and run the same command again" in said.err


def test_ranges_and_spans():
    assert parse_range("0:1:2", "x") == ([0.0, 1.0], 2)
    assert parse_span("-2:0.5") == [-2.0, 0.5]
    for text in ("", ":", "1", "1:2", "1:2:3:4", "a:1:2", "0:1:2.5", "0::3"):
        with pytest.raises(InvalidArgument, match="low:high:steps"):
            parse_range(text, "x")
    for text in ("", "1:2:3", ":"):
        with pytest.raises(InvalidArgument, match="low:high"):
            parse_span(text)


class Ascii:
    """A stream that can hold ASCII and nothing else."""

    encoding = "ascii"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text.encode("ascii").decode()

    def flush(self) -> None:
        pass


def test_a_terminal_without_signs_gets_plain_letters():
    stream = Ascii()
    terminal.write("0.3 ± 0.1 · größe ✓", stream)
    assert stream.text == "0.3 +- 0.1 - gr\\xf6\\xdfe ok\n"
    terminal.write("nobody listens", None)


def test_an_unforeseen_error_is_told_in_four_lines(capsys):
    try:
        {}["missing"]
    except KeyError as error:
        failures.explain_crash(KeyError, error, error.__traceback__)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Error", "Where", "Why", "Fix"]
    assert "test_trouble.py" in lines[1]


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -c 'import sys; from theodolite.cli import main; sys.exit(main())'"
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; theodolite() {{ {program} "$@"; }}; {command}'],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_closed_pipe_a_closed_stdin_and_a_plain_locale():
    # kills: a traceback for `theodolite list | head -1`, signs that a C locale cannot print
    done = shell("theodolite list | head -0")
    assert done.returncode in (0, 141)
    assert done.stderr == ""
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = shell("theodolite --help <&-; theodolite status nowhere", **plain)
    assert done.returncode == 2
    assert "Usage" in done.stdout
    assert "Traceback" not in done.stderr


def test_main_without_arguments_shows_help(capsys):
    assert main([]) == 0
    assert "Start here" in capsys.readouterr().out


def test_the_module_exits_with_the_code_of_the_command(place):
    # kills: the code dropped, so that scripts take a failure for a success
    for arguments, code in ((["--version"], 0), (["line", "missing.py"], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "theodolite", *arguments], cwd=place, capture_output=True
        )
        assert done.returncode == code, done.stderr.decode()

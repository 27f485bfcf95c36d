"""``theodolite init``: a commented target that runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from theodolite.errors import InvalidArgument


def init(
    path: Annotated[Path, Parameter(help="The file to write.")] = Path("target.py"),
    /,
) -> int:
    """Write a commented target file that runs as it is; refuses to overwrite one."""
    from importlib.resources import files

    from theodolite.cli import terminal
    from theodolite.surveys.durable import naming

    if path.suffix != ".py":
        raise InvalidArgument(
            f"{path} must end in .py.", fix="for example theodolite init target.py.", code="E-I10"
        )
    content = files("theodolite.cli").joinpath("target_template.py").read_text()
    try:
        with naming(path), path.open("x", encoding="utf-8") as file:
            file.write(content.replace("target_template.py", path.name))
    except OSError as error:
        if not path.exists() or not isinstance(error.__cause__, FileExistsError):
            raise
        raise InvalidArgument(
            f"{path} exists and is left as it is.", fix="pass another name.", code="E-I10"
        ) from error
    terminal.say(f"Next: theodolite survey {path}:build --limit 500")
    terminal.result(str(path))
    return 0

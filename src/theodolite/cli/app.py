"""The commands by name; a command's module is imported when it is called, and not before."""

from __future__ import annotations

import errno

from cyclopts import App, CycloptsError, Group, Parameter

from theodolite.cli import failures, terminal
from theodolite.errors import TheodoliteError

GROUPS = {
    "Start here": {
        "demo": ("demo:demo", "Survey two small networks on data that ship with the package."),
        "init": ("init:init", "Write a commented target file that runs as it is."),
        "survey": ("survey:survey", "Measure the landscape around a target's weights; report."),
    },
    "One measurement": {
        "plane": ("plane:plane", "Loss over random planes."),
        "line": ("line:line", "Loss along random lines."),
        "trajectory": ("trajectory:trajectory", "Path of the training over a plane."),
        "spectrum": ("spectrum:spectrum", "Eigenvalues of the Hessian."),
        "saddles": ("saddles:saddles", "Directions that curve down, and critical points."),
        "sharpness": ("sharpness:sharpness", "How sharp the loss is, by all definitions."),
        "noise": ("noise:noise", "Gradient noise, and the batch sizes it speaks for."),
        "connect": ("connect:connect", "How weights in files are related: lines, curves."),
        "average": ("average:average", "One network from weights in files, or their soup."),
        "volume": ("volume:volume", "Loss over grids of three or more axes."),
        "convexity": ("convexity:convexity", "Where around the weights the loss is convex."),
        "shape": ("shape:shape", "Areas, widths, minima and saddles of a run's surfaces."),
    },
    "Trainings": {
        "study": (
            "study:study",
            "Batch sizes, optimizers, the edge of stability: trainings compared.",
        ),
    },
    "Runs": {
        "monitor": ("monitor:monitor", "A training while it runs: its sharpness, live."),
        "status": ("status:status", "What a run folder holds, and what is missing."),
        "resume": ("resume:resume", "Continue a run where it was left."),
        "merge": ("merge:merge", "Collect what the shards of a run hold."),
        "report": ("report:report", "One HTML page from one or several runs."),
        "compare": ("compare:compare", "The headline numbers of two or more runs."),
        "export": ("export:export", "Results as netCDF, tables, meshes or figures."),
    },
    "More": {
        "findings": ("findings:findings", "Put published claims to the test."),
        "list": ("listing:listing", "The measures and their settings."),
        "doctor": ("doctor:doctor", "Check this machine, and a target's derivatives."),
    },
}

INTRODUCTION = "Survey the optimization landscape of a PyTorch network."

CLOSING = (
    "TARGET is file.py:function or package.module:function and returns a td.Target.\n"
    "COMMAND --help shows the options; --debug shows the traceback of an error.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 incomplete, 130 interrupted."
)


def build() -> App:
    """The command-line application."""
    from theodolite import __version__

    groups = {title: Group(title, sort_key=k) for k, title in enumerate(GROUPS)}
    app = App(
        name="theodolite",
        help=INTRODUCTION,
        help_epilogue=CLOSING,
        help_format="plaintext",
        version=__version__,
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
        group_commands=groups["More"],
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for title, commands in GROUPS.items():
        for order, (name, (home, summary)) in enumerate(commands.items()):
            place = f"theodolite.cli.{home}"
            app.command(place, name=name, help=summary, group=groups[title], sort_key=order)
    return app


def run(argv: list[str]) -> int:
    """Parse, call the command, and turn every error meant for people into lines and a code."""
    debug = "--debug" in argv
    tokens = [t for t in argv if t != "--debug"]
    try:
        with terminal.notes():
            code = build()(tokens)
        terminal.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return failures.usage(error, debug=debug)
    except TheodoliteError as error:
        return failures.told(error, debug=debug)
    except BrokenPipeError:
        return failures.pipe_closed()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return failures.too_long(error, debug=debug)
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        return 130

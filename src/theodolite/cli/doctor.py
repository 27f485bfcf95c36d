"""``theodolite doctor``: this machine, and whether a target's derivatives can be trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def doctor(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = None,
    /,
    *,
    argument: Annotated[
        tuple[str, ...], Parameter(name=["-a", "--argument"], help="key=value for the factory.")
    ] = (),
    checkpoint: Annotated[Path | None, Parameter(help="Weights to check at.")] = None,
    limit: Annotated[int | None, Parameter(help="Use a fixed sample of so many examples.")] = None,
    seed: Annotated[int, Parameter(help="Decides the probes of the checks.")] = 0,
    device: Annotated[
        str | None, Parameter(help="Where the factory creates what it makes.")
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON instead of lines.")] = False,
) -> int:
    """Print versions, devices and disk, and with a target the certificate of its derivatives."""
    from theodolite.cli import terminal

    found: dict[str, Any] = machine_facts()
    if target is not None:
        found["target"] = examined(target, argument, checkpoint, limit, seed, device)
    terminal.result(json.dumps(found, indent=1) if as_json else lines_of(found))
    verdict = found.get("target", {}).get("verdict", "certified")
    return 0 if verdict in ("certified", "non-smooth") else 1


def machine_facts() -> dict[str, Any]:
    """Versions, processor, memory, devices, disk, browser."""
    import torch

    from theodolite.surveys.provenance import machine, versions

    devices = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "versions": versions(),
        "machine": machine(torch.get_num_threads()),
        "devices": devices,
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "browser": next((b for b in BROWSERS if shutil.which(b)), None),
    }


def examined(
    target: str,
    argument: tuple[str, ...],
    checkpoint: Path | None,
    limit: int | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """A target's size, loss and certificate."""
    from theodolite.certificates import certify
    from theodolite.cli.watching import slow_target
    from theodolite.surveys.factories import load_target, parse_arguments
    from theodolite.surveys.target import adjusted

    with slow_target(target):
        made = load_target(target, parse_arguments(argument), device=device)
        chosen = adjusted(made, checkpoint=checkpoint, limit=limit)
    certificate = certify(chosen.objective, seed=seed)
    checks = [
        {
            "check": str(certificate["check"].values[k]),
            "figure": float(certificate["figure"][k]),
            "bound": float(certificate["bound"][k]),
            "passed": bool(certificate["passed"][k]),
        }
        for k in range(certificate.sizes["check"])
    ]
    return {
        "name": chosen.title,
        **chosen.objective.facts(),
        "loss": chosen.objective.metrics()["loss"],
        "verdict": str(certificate.attrs["verdict"]),
        "reason": str(certificate.attrs.get("reason", "")),
        "checks": checks,
    }


def lines_of(found: dict[str, Any]) -> str:
    """The facts as people read them."""
    machine, versions = found["machine"], found["versions"]
    lines = [
        "Versions  " + "  ".join(f"{k} {v}" for k, v in versions.items()),
        f"Machine   {machine['system']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB, {machine['threads']} threads in use",
        f"Devices   {', '.join(found['devices'])}",
        f"Disk      {found['disk_free_bytes'] / 1e9:.0f} GB free here",
        f"Browser   {found['browser'] or 'none found (a report needs one to be looked at)'}",
    ]
    target = found.get("target")
    if target is not None:
        lines.append(
            f"Target    {target['name']} · {target['params']:,} parameters · "
            f"{target['examples']:,} examples · loss {target['loss']:.4g}"
        )
        width = max(len(c["check"]) for c in target["checks"])
        lines += [
            f"  {'✓' if c['passed'] else '✗'} {c['check']:{width}} {c['figure']:.2g}  "
            f"(bound {c['bound']:.2g})"
            for c in target["checks"]
        ]
        reason = f": {target['reason']}" if target["reason"] else ""
        lines.append(f"Verdict   {target['verdict']}{reason}")
    return "\n".join(lines)

#!/usr/bin/env bash
# Makes .venv: Python, the CPU build of torch, this package in place, and what the tests need.
#
#   PYTHON      the interpreter to build on                    (default python3.11)
#   TORCH_SPEC  what to install as torch, e.g. a CUDA build    (default torch==2.13.0)
#   EXTRAS      extras of this package to install              (default dev)
#
# Prints one line a stage; everything pip says goes to .venv/setup.log. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

default_torch="torch==2.13.0"
python="${PYTHON:-python3.11}"
torch_spec="${TORCH_SPEC:-$default_torch}"
extras="${EXTRAS:-dev}"
log=".venv/setup.log"
constraints="constraints.txt"

stop() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# stage NAME COMMAND...: run quietly, show the time it took, or the end of the log when it fails.
stage() {
    local name="$1" began="$SECONDS"
    shift
    printf 'setup: %-42s ' "$name"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        printf 'failed\n'
        tail -n 25 "$log" >&2
        stop "$name failed; the whole log is $log."
    fi
    printf '%4d s\n' "$((SECONDS - began))"
}

install() { .venv/bin/python -m pip install --no-input --disable-pip-version-check "$@"; }

command -v "$python" >/dev/null ||
    stop "no $python on this machine." "Install Python 3.11 with venv, or name another: PYTHON=python3.12 make setup"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$python is older than Python 3.11."

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || stop "could not make .venv; Debian and Ubuntu keep venv in the package python3-venv."
fi
rm -f .venv/.ok
: >"$log"

# Another torch than the pinned one needs its own pin, or the constraints would refuse it.
if [ "$torch_spec" != "$default_torch" ]; then
    constraints=".venv/constraints.txt"
    grep -v '^torch==' constraints.txt >"$constraints" || true
fi

# torch first and alone: resolved together with the rest it may become a CUDA build.
stage "$torch_spec" install -c "$constraints" "$torch_spec"
if [ "$torch_spec" != "$default_torch" ]; then
    .venv/bin/python -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' >>"$constraints"
fi
stage "theodolite[$extras]" install -c "$constraints" -e ".[$extras]"

# Test oracles: their own requirements would bring torchvision, and with it another torch.
if [[ ",$extras," == *,dev,* ]]; then
    stage "curvlinops, an oracle of the tests" install -c "$constraints" \
        einops einconv linear_operator opt-einsum
    stage "curvlinops itself, without requirements" install -c "$constraints" --no-deps \
        curvlinops-for-pytorch backpack-for-pytorch
fi

if [ "$torch_spec" = "$default_torch" ] &&
    .venv/bin/python -m pip list --format=freeze 2>/dev/null | grep -i '^nvidia-' >>"$log"; then
    stop "torch came as a CUDA build (nvidia-* packages are in .venv), about 5 GB nobody asked for." \
        "Let pip see the CPU build (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL), remove .venv and run again," \
        "or ask for what you want: TORCH_SPEC=torch make setup"
fi

.venv/bin/python - <<'SAY' || stop "theodolite is installed but cannot be imported."
import importlib.metadata
import sys

import theodolite

torch = importlib.metadata.version("torch")
python = sys.version.split()[0]
print(f"setup: theodolite {theodolite.__version__}, torch {torch}, Python {python}")
SAY
touch .venv/.ok

"""Makes `.venv` with the exact versions of constraints.txt, through uv, on a machine that has only Python.

Standard library only: it runs before anything is installed. A folder of wheels that pip is configured with (find-links) is
passed on to uv, which does not read pip's configuration.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK_HEADER = """\
# Exact versions for a fresh install. Made by `make lock`; pyproject.toml holds the ranges.
# torch carries no build suffix on purpose: a CPU wheel at hand is taken, elsewhere the index's own build.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv", help="folder of the environment")
    parser.add_argument("--extra", default="dev", help="extra of pyproject.toml to install")
    parser.add_argument(
        "--lock", action="store_true", help="resolve constraints.txt anew instead of installing"
    )
    arguments = parser.parse_args()
    if not (3, 11) <= sys.version_info < (3, 13):
        print(
            f"spavl needs Python 3.11 or 3.12, this is {sys.version.split()[0]}; set PYTHON=python3.11",
            file=sys.stderr,
        )
        return 2
    venv = (ROOT / arguments.venv).resolve()
    uv = ensure_uv(venv)
    if arguments.lock:
        lock(uv)
    else:
        run(
            [
                uv,
                "pip",
                "install",
                "--python",
                str(venv / "bin" / "python"),
                "-c",
                str(ROOT / "constraints.txt"),
                "-e",
                f"{ROOT}[{arguments.extra}]",
            ]
        )
        remove_build_leftovers()
        compile_bytecode(venv)
    return 0


def compile_bytecode(venv: Path) -> None:
    """Once, for every process of every night: uv leaves it out, and where PYTHONDONTWRITEBYTECODE is set no import makes it.

    A night is some forty processes; without bytecode each spends up to ten seconds more on importing. Packages hold
    templates that are no valid Python: those are passed over.
    """
    print("compiling the packages once (about a minute)", flush=True)
    libraries = sorted((venv / "lib").glob("python3*/site-packages"))
    command = [str(venv / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0", *map(str, libraries)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def remove_build_leftovers() -> None:
    """The build's egg-info beside the sources would announce the Airflow plugin a second time."""
    for folder in (ROOT / "src").glob("*.egg-info"):
        shutil.rmtree(folder)


def ensure_uv(venv: Path) -> str:
    """uv inside the environment, installed by the environment's own pip where it is missing."""
    python, uv = venv / "bin" / "python", venv / "bin" / "uv"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
        if made.returncode:
            sys.exit("Python's venv module does not work here; on Debian: apt-get install python3-venv")
    if not uv.exists():
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==0.13.9"])
    return str(uv)


def lock(uv: str) -> None:
    """Write constraints.txt: one line per package."""
    command = [
        uv,
        "pip",
        "compile",
        str(ROOT / "pyproject.toml"),
        "--extra",
        "dev",
        "--extra",
        "postgres",  # of the Airflow image only
        "--extra",
        "vision",  # of the training image only
        "--python-version",
        "3.11",
        "--no-annotate",
        "--no-header",
    ]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout
    lines = [line.split("+cpu")[0] for line in listed.splitlines() if "==" in line]
    (ROOT / "constraints.txt").write_text(LOCK_HEADER + "\n".join(lines) + "\n")


def run(command: list[str]) -> None:
    finished = subprocess.run(command, check=False, env=environment())
    if finished.returncode:
        sys.exit(f"failed ({finished.returncode}): {' '.join(command[:4])} …")


def environment() -> dict[str, str]:
    """This process's variables, with pip's folder of wheels for uv where one is configured and exists."""
    found = dict(os.environ, UV_PYTHON_DOWNLOADS="never")
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        check=False,
        capture_output=True,
        text=True,
    )
    folders = [folder for folder in configured.stdout.split() if Path(folder).is_dir()]
    if folders and "UV_FIND_LINKS" not in found:
        found["UV_FIND_LINKS"] = " ".join(folders)
    return found


if __name__ == "__main__":
    sys.exit(main())

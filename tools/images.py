"""Builds the container images with docker, podman or buildah: `python3 tools/images.py --engine podman data airflow`.

One image per dependency set, tagged with the package's version. How to reach a package index is given to the build as
secrets, so no layer, label or history holds it. Standard library only: it runs on a build machine that has nothing of ours.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {
    "airflow": "Airflow with spavl's plan, reports, operators and DAG files",
    "data": "spavl's CPU stages and the clients of its inference stages, without torch",
    "training": "spavl's training, and models run by transformers",
}
ENGINES = ("podman", "docker", "buildah")
DEFAULT_BASE = "docker.io/library/python:3.11.14-slim-bookworm"
CERTIFICATE_IN_THE_BUILD = "/etc/pip-certificate.pem"
WHEELS_IN_THE_BUILD = "/wheels"


class Unusable(Exception):
    """A mistake of whoever asked, said in one line."""


@dataclass(frozen=True)
class Index:
    """How pip reaches packages inside the build."""

    url: str | None
    find_links: str | None  # a folder of this machine, or a URL
    certificate: str | None  # file of certificate authorities

    def pip_conf(self) -> str:
        """The configuration file that pip reads in the build; "" where its defaults will do."""
        values = {
            "index-url": self.url,
            "find-links": WHEELS_IN_THE_BUILD if self.folder() else self.find_links,
            "cert": CERTIFICATE_IN_THE_BUILD if self.certificate else None,
        }
        lines = [f"{key} = {value}" for key, value in values.items() if value]
        return "\n".join(["[global]", "timeout = 180", *lines, ""]) if lines else ""

    def folder(self) -> str | None:
        """The folder of wheels, which the build must see; raises Unusable where there is none."""
        if not self.find_links or "://" in self.find_links:
            return None
        if not Path(self.find_links).is_dir():
            raise Unusable(
                f"there is no folder of wheels {self.find_links!r} (--find-links, PIP_FIND_LINKS)."
            )
        return str(Path(self.find_links).resolve())


def main(argv: Sequence[str] | None = None) -> int:
    """Build the images asked for; 0, or 2 after one line that says why not, or the engine's own exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _build(arguments)
    except Unusable as error:
        print(f"images: {error}", file=sys.stderr)
        return 2


def _build(arguments: argparse.Namespace) -> int:
    names = _known(arguments.images)
    _refuse_unpinned(arguments.base)
    engine = arguments.engine or _find_engine()
    index = Index(arguments.index_url, arguments.find_links, arguments.certificate)
    with tempfile.TemporaryDirectory(prefix="spavl-images-") as folder:
        secrets = _write_secrets(index, Path(folder))
        for name in names:
            image = _image(arguments.registry, name, arguments.tag)
            told = labels(name, arguments.base, arguments.source)
            command = build_command(engine, name, arguments.base, image, told, secrets, index.folder())
            if code := _run(command, arguments.dry_run):
                return code
    return 0


def build_command(
    engine: str,
    name: str,
    base: str,
    image: str,
    labels: dict[str, str],
    secrets: dict[str, str],
    wheels: str | None = None,
) -> list[str]:
    """The argv that builds one image; `secrets` maps the Dockerfile's secret ids to files."""
    command = [engine, "build", "--file", str(ROOT / "containers" / name / "Dockerfile"), "--tag", image]
    command += ["--build-arg", f"BASE={base}"]
    for secret_id, path in secrets.items():
        command += ["--secret", f"id={secret_id},src={path}"]
    for key, value in labels.items():
        command += ["--label", f"{key}={value}"]
    if engine == "buildah":
        command.append("--layers")  # the two others keep layers of their own accord
    if wheels:
        command += ["--build-context", f"wheels={wheels}"]
    return [*command, str(ROOT)]


def labels(name: str, base: str, source: str | None) -> dict[str, str]:
    """What a bill of materials asks of an image, in the words of the OCI image specification."""
    project = _project()
    found = {
        "title": f"spavl-{name}",
        "description": IMAGES[name],
        "version": project["version"],
        "revision": _revision(),
        "source": source or project.get("urls", {}).get("Source"),
        "licenses": project["license"],
        "created": _created(),
        "base.name": base,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in found.items() if value}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(IMAGES)}; without: all")
    parser.add_argument("--engine", choices=ENGINES, help="what builds; without: the first that works here")
    parser.add_argument("--base", default=DEFAULT_BASE, help="image with Python 3.11 or 3.12 (%(default)s)")
    parser.add_argument("--registry", help="what stands before the image's name: registry.example/team")
    parser.add_argument("--tag", help="without: the package's version")
    parser.add_argument("--source", help="URL of the source code, for the label of that name")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    for option, variable, meaning in (
        ("--index-url", "PIP_INDEX_URL", "package index"),
        ("--find-links", "PIP_FIND_LINKS", "folder or URL of more wheels"),
        ("--certificate", "PIP_CERT", "file of the index's certificate authorities"),
    ):
        parser.add_argument(option, default=os.environ.get(variable), help=f"{meaning}; without: {variable}")
    return parser


def _known(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in IMAGES:
            raise Unusable(f"there is no image {name!r}; there are {', '.join(IMAGES)}.")
    return list(names or IMAGES)


def _refuse_unpinned(image: str) -> None:
    _, _, tag = image.rpartition("/")[2].partition("@")[0].partition(":")
    if "@sha256:" not in image and tag in ("", "latest"):
        raise Unusable(f"{image!r} needs a tag other than latest, or a digest: tomorrow latest is another.")


def _find_engine() -> str:
    """The first engine that is installed; docker counts only where its daemon answers."""
    for engine in ENGINES:
        if shutil.which(engine) and (engine != "docker" or _answers([engine, "version"])):
            return engine
    raise Unusable(
        f"none of {', '.join(ENGINES)} works on this machine; install one, or name it by --engine."
    )


def _answers(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _image(registry: str | None, name: str, tag: str | None) -> str:
    image = f"spavl-{name}:{tag or _project()['version']}"
    _refuse_unpinned(image)
    return f"{registry.rstrip('/')}/{image}" if registry else image


def _write_secrets(index: Index, folder: Path) -> dict[str, str]:
    """Secret id to file, for what is needed; only this user can read the files, since a URL may hold a password."""
    secrets = {}
    if index.certificate:
        if not Path(index.certificate).is_file():
            raise Unusable(f"there is no file {index.certificate!r} (--certificate, PIP_CERT).")
        secrets["certificate"] = index.certificate
    if text := index.pip_conf():
        path = folder / "pip.conf"
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
        secrets["pip"] = str(path)
    return secrets


def _run(command: list[str], dry_run: bool) -> int:
    print(shlex.join(command), flush=True)
    if dry_run:
        return 0
    try:
        return subprocess.run(command, check=False, env={**os.environ, "DOCKER_BUILDKIT": "1"}).returncode
    except FileNotFoundError:
        raise Unusable(f"{command[0]} is not installed on this machine.") from None


def _project() -> dict:
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]


def _revision() -> str | None:
    """The commit the images are built from, marked where files differ from it; None outside a git checkout."""
    if not shutil.which("git"):
        return None
    told = [
        subprocess.run(["git", "-C", str(ROOT), *words], check=False, capture_output=True, text=True)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
    ]
    if any(finished.returncode for finished in told):
        return None
    commit, changes = (finished.stdout.strip() for finished in told)
    return f"{commit}-changed" if changes else commit


def _created() -> str:
    """When the image is built, or SOURCE_DATE_EPOCH for a build that can be repeated."""
    epoch_s = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.now(datetime.UTC)
    when = datetime.datetime.fromtimestamp(int(epoch_s), datetime.UTC) if epoch_s else now
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())

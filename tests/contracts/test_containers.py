"""What the images promise, read from their Dockerfiles; and `make images`, which hands each engine the right words. No engine runs."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.image_contents import ROOT, distributions, dockerfile, extras_of, printed_requirements

from spavl.pipeline import STAGES

IMAGES = ("airflow", "data", "training")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
Index = runpy.run_path(str(ROOT / "tools" / "images.py"))["Index"]
INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT")


def stages(name: str) -> list[list[str]]:
    """Instructions of each build stage; what stands before the first FROM is left out."""
    found: list[list[str]] = []
    for line in dockerfile(name):
        if line.startswith("FROM "):
            found.append([])
        if found:
            found[-1].append(line)
    return found


def images(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in INDEX_VARIABLES}
    command = [sys.executable, str(ROOT / "tools" / "images.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, **environment}, timeout=60
    )


def printed(*arguments: str) -> list[list[str]]:
    finished = images("--dry-run", *arguments)
    assert finished.returncode == 0, finished.stderr
    return [shlex.split(line) for line in finished.stdout.splitlines()]


def values(command: list[str], option: str) -> list[str]:
    return [command[k + 1] for k, word in enumerate(command) if word == option]


@pytest.mark.parametrize("name", IMAGES)
def test_every_stage_comes_from_the_pinned_base_that_is_an_argument(name: str) -> None:
    first, empty, *rest = dockerfile(name)
    assert empty == "FROM scratch AS wheels"
    tag = first.removeprefix("ARG BASE=docker.io/library/python:")
    assert re.fullmatch(r"3\.1[12]\.\d+-slim-bookworm", tag), first
    made = {"${BASE}"}
    for line in rest:
        if line.startswith("FROM "):
            source, _, alias = line.removeprefix("FROM ").partition(" AS ")
            assert source in made
            made.add(alias)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_a_numeric_user_other_than_root(name: str) -> None:
    users = [line for line in stages(name)[-1] if line.startswith("USER ")]
    # the official Airflow chart's pods are user 50000 of group 0, which owns what they write to
    assert users == ["USER 50000:0" if name == "airflow" else "USER 10001:10001"]


def test_entry_points_are_executed_without_a_shell() -> None:
    found = {name: [line for line in stages(name)[-1] if line.startswith("ENTRYPOINT")] for name in IMAGES}
    assert found == {
        "airflow": ['ENTRYPOINT ["/entrypoint"]'],
        "data": ['ENTRYPOINT ["python", "-m", "spavl"]'],
        "training": ['ENTRYPOINT ["python", "-m", "spavl"]'],
    }


@pytest.mark.parametrize("name", IMAGES)
def test_changed_code_installs_no_dependency_anew(name: str) -> None:
    _, of_requirements, of_dependencies, of_code, image = stages(name)
    code = ("COPY src", "COPY dags", "COPY expectations", "COPY containers", "COPY .")
    for stage in (of_requirements, of_dependencies):
        assert not [line for line in stage if line.startswith(code)]
    assert [line for line in of_code if line.startswith("COPY src")]
    copied = [line.split()[-1] for line in image if line.startswith("COPY --from")]
    assert copied == ["/opt/venv", "/opt/spavl"]


@pytest.mark.parametrize("name", IMAGES)
def test_installed_are_the_exact_versions_of_the_lock(name: str) -> None:
    installs = [line for line in dockerfile(name) if " install " in line and "--no-deps" not in line]
    assert installs
    for line in installs:
        assert line.count(" install ") == line.count("-c constraints.txt") == line.count("--no-cache-dir")


@pytest.mark.parametrize("name", IMAGES)
def test_how_to_reach_the_index_is_a_secret_of_the_build(name: str) -> None:
    (line,) = [line for line in dockerfile(name) if "requirements.txt" in line and "install" in line]
    assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in line
    assert "--mount=type=bind,from=wheels,target=/wheels" in line
    text = "\n".join(dockerfile(name))
    assert re.findall(r"^ARG (\w+)", text, flags=re.MULTILINE) == ["BASE"]
    assert re.findall(r"https?://\S+|index-url|find-links", text) == []


def test_data_and_training_differ_in_extras_name_and_the_drivers_place_alone() -> None:
    pairs = zip(dockerfile("data"), dockerfile("training"), strict=True)
    changed = [(one, other) for one, other in pairs if one != other]
    assert [[word for word in other.split() if word not in one.split()] for one, other in changed] == [
        ["training", "benchmarks", "vision"],
        ["SPAVL_IMAGE=training", "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64"],
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_the_extras_of_an_image_are_extras_of_the_package(name: str) -> None:
    assert extras_of(name) <= set(PROJECT["optional-dependencies"])


def test_the_images_together_hold_all_that_the_demo_needs() -> None:
    (demo,) = PROJECT["optional-dependencies"]["demo"]
    needed = set(re.findall(r"\w+", demo.partition("[")[2]))
    assert needed <= set().union(*(extras_of(name) for name in IMAGES))


def test_the_data_image_has_no_torch() -> None:
    assert "torch" not in distributions("data")


def test_the_training_image_has_torch() -> None:
    assert "torch" in distributions("training")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Stage to its number of rows, prepared and sealed by a process that has what the image `data` has."""
    command = [sys.executable, "-m", "tests.image_contents", str(tmp_path_factory.mktemp("sealed"))]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_the_data_image_can_prepare_and_seal(stage: str, sealed: dict[str, int]) -> None:
    assert sealed[stage] > 0


def test_requirements_of_an_extra_that_names_others_are_those_of_all() -> None:
    assert set(printed_requirements("s3", "validation")) < set(printed_requirements("demo"))
    assert "torch==2.13.0" in printed_requirements("demo")
    assert "torch==2.13.0" not in printed_requirements("s3", "validation")


def test_an_unknown_extra_is_one_clear_line() -> None:
    command = [sys.executable, "tools/requirements.py", "s33"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith("pyproject.toml has no extra 's33'; it has s3, validation, ")


def test_only_what_an_image_is_made_of_enters_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"  # all stays out, tests, git history and data among it, but what is named here
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {
        "LICENSE",
        "README.md",
        "constraints.txt",
        "containers",
        "dags",
        "expectations",
        "pyproject.toml",
        "src",
        "tools/requirements.py",
    }
    assert {"**/__pycache__", "**/*.egg-info", "**/.*"} <= set(rules)


@pytest.mark.parametrize("name", IMAGES)
def test_all_that_is_copied_enters_the_build(name: str) -> None:
    admitted = {
        line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    for line in dockerfile(name):
        if line.startswith("COPY ") and "--from" not in line:
            sources = [word for word in line.split()[1:-1] if not word.startswith("--")]
            for source in sources:
                assert (ROOT / source).exists()
                assert source in admitted or source.split("/")[0] in admitted


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_each_engine_gets_file_tag_base_and_context(engine: str) -> None:
    (command,) = printed("--engine", engine, "--base", "registry.example/python:3.12.9", "data")
    assert command[:2] == [engine, "build"]
    assert values(command, "--file") == [str(ROOT / "containers/data/Dockerfile")]
    assert values(command, "--tag") == [f"spavl-data:{PROJECT['version']}"]
    assert values(command, "--build-arg") == ["BASE=registry.example/python:3.12.9"]
    assert command[-1] == str(ROOT)
    assert ("--layers" in command) == (engine == "buildah")  # the others keep layers by themselves


def test_without_names_all_images_are_built() -> None:
    commands = printed("--engine", "podman", "--registry", "registry.example/team/", "--tag", "1.2.3")
    assert [values(command, "--tag") for command in commands] == [
        [f"registry.example/team/spavl-{name}:1.2.3"] for name in IMAGES
    ]


def test_an_image_says_what_it_is_made_from() -> None:
    finished = images(
        "--dry-run",
        "--engine",
        "docker",
        "--source",
        "https://code.example/spavl",
        "data",
        SOURCE_DATE_EPOCH="0",
    )
    told = dict(word.split("=", 1) for word in values(shlex.split(finished.stdout), "--label"))
    told = {key.removeprefix("org.opencontainers.image."): value for key, value in told.items()}
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", told.pop("revision"))
    assert told == {
        "title": "spavl-data",
        "description": "spavl's CPU stages and the clients of its inference stages, without torch",
        "version": PROJECT["version"],
        "source": "https://code.example/spavl",
        "licenses": "Apache-2.0",
        "created": "1970-01-01T00:00:00Z",
        "base.name": "docker.io/library/python:3.11.14-slim-bookworm",
    }


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_an_index_with_a_password_is_in_no_argument(engine: str) -> None:
    finished = images(
        "--dry-run", "--engine", engine, "data", PIP_INDEX_URL="https://user:pass-word@index.example/simple"
    )
    command = shlex.split(finished.stdout)
    assert "index.example" not in finished.stdout
    (secret,) = values(command, "--secret")
    assert re.fullmatch(r"id=pip,src=/.*/pip\.conf", secret)
    assert not Path(secret.partition("src=")[2]).exists()  # removed with the build


def test_pip_reads_index_wheels_and_certificate_in_the_build() -> None:
    text = Index("https://index.example/simple", "https://wheels.example", "/etc/ca.pem").pip_conf()
    assert text.splitlines() == [
        "[global]",
        "timeout = 180",
        "index-url = https://index.example/simple",
        "find-links = https://wheels.example",
        "cert = /etc/pip-certificate.pem",
    ]
    assert Index(None, None, None).pip_conf() == ""


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_a_folder_of_wheels_is_a_context_of_the_build(engine: str, tmp_path: Path) -> None:
    (command,) = printed("--engine", engine, "--find-links", str(tmp_path), "training")
    assert values(command, "--build-context") == [f"wheels={tmp_path}"]
    assert Index(None, str(tmp_path), None).pip_conf().splitlines()[-1] == "find-links = /wheels"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--engine", "podman", "dta"], "there is no image 'dta'; there are airflow, data, training."),
        (["--engine", "podman", "--base", "python:latest"], "'python:latest' needs a tag other than latest"),
        (["--engine", "podman", "--base", "registry:5000/python"], "'registry:5000/python' needs a tag"),
        (["--engine", "podman", "--tag", "latest"], "'spavl-airflow:latest' needs a tag other than latest"),
        (["--engine", "podman", "--find-links", "/nowhere"], "there is no folder of wheels '/nowhere'"),
        (["--engine", "podman", "--certificate", "/nowhere"], "there is no file '/nowhere'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], line: str) -> None:
    finished = images("--dry-run", *arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"images: {line}")
    assert finished.stderr.count("\n") == 1


def test_a_machine_without_an_engine_is_told_so(tmp_path: Path) -> None:
    finished = images("data", PATH=str(tmp_path))
    assert finished.returncode == 2
    assert finished.stderr == (
        "images: none of podman, docker, buildah works on this machine; install one, or name it by --engine.\n"
    )


def test_an_engine_that_is_not_installed_is_told_so(tmp_path: Path) -> None:
    finished = images("--engine", "podman", "data", PATH=str(tmp_path))
    assert (finished.returncode, finished.stderr) == (2, "images: podman is not installed on this machine.\n")


def test_a_failed_build_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "podman").write_text("#!/bin/sh\nexit 125\n")
    (tmp_path / "podman").chmod(0o755)
    finished = images("data", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert finished.returncode == 125

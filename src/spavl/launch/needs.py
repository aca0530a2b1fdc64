"""What a step needs of a cluster: the container image, the kind of pod, and the models it asks or runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spavl.config import KubernetesLaunch, ModelSpec, TransformersModel, VllmModel
from spavl.config.launch import PodConfig
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.pipeline import BY_NAME


@dataclass(frozen=True)
class Needs:
    """Of one step; `image` is the client's."""

    image: str
    pod: PodConfig
    server: VllmModel | None = None  # served by a sidecar
    runs_model: bool = False  # the client itself loads weights: it needs torch, and disk for them


def needs(config: Config, stage: str, step: str, group: str | None) -> Needs:
    """`prepare` and `seal` read and write tables; `work` also asks or trains models.

    Raises UserError where the profile names no image for it.
    """
    launch = config.launch
    assert isinstance(launch, KubernetesLaunch)
    if step != "work":
        # which version of a benchmark's package is asked decides its rows, and the training image holds those packages
        name = "training" if (stage, step) == ("benchmarks", "prepare") else "data"
        return Needs(image(launch, name), launch.cpu)
    if BY_NAME[stage].runs_on == "training":
        return Needs(image(launch, "training"), launch.training, runs_model=True)
    used = list(config.section(stage).models_asked(config, group))
    server = _one_server(stage, used)
    runs_model = any(isinstance(spec, TransformersModel) for spec in used)
    pod = launch.inference if used else launch.cpu
    return Needs(image(launch, "training" if runs_model else "data"), pod, server, runs_model)


def _one_server(stage: str, used: list[ModelSpec]) -> VllmModel | None:
    """The model that vLLM serves in this pod; raises UserError for two, since a pod has one server."""
    servers = {spec.name: spec for spec in used if isinstance(spec, VllmModel)}
    if len(servers) > 1:
        raise UserError(
            f"a pod of `{stage}` would need two vLLM servers: {' and '.join(servers)}.",
            next_step="Serve one of them elsewhere, and name it as a model of kind 'endpoint'.",
        )
    return next(iter(servers.values()), None)


def images_used(config: Config, stages: Iterable[str]) -> dict[str, str]:
    """Image -> digest, "" where the profile gives a tag only, for every image that these stages need.

    Raises UserError where the profile names none for one of them.
    """
    launch = config.launch
    assert isinstance(launch, KubernetesLaunch)
    used = {image(launch, name): None for stage in stages for name in sorted(_image_names(config, stage))}
    return {reference: reference.partition("@")[2] for reference in used}


def image(launch: KubernetesLaunch, name: str) -> str:
    """The image called `name` in the profile; raises UserError where it names none."""
    found = getattr(launch.images, name)
    if found is None:
        raise UserError(
            f"launch.images.{name} is not set, and this run's stages need it.",
            next_step=f"Build it (`make images`), push it, and set launch.images.{name} to its name with a tag or digest.",
        )
    return found


def _image_names(config: Config, stage: str) -> set[str]:
    found = {"data"}
    models = list(config.section(stage).models_asked(config))
    if BY_NAME[stage].runs_on == "training" or any(isinstance(spec, TransformersModel) for spec in models):
        found.add("training")
    if any(isinstance(spec, VllmModel) for spec in models):
        found.add("vllm")
    return found

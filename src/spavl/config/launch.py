"""Where the steps of a run are done, and with how much: as processes on this machine, or as Jobs on Kubernetes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from spavl.config.base import EnvName, Section
from spavl.config.quantities import Quantity, amount

ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]


def _is_pinned(image: str) -> str:
    _, _, tag = image.rpartition("/")[2].partition("@")[0].partition(":")
    if "@sha256:" not in image and (not tag or tag == "latest"):
        raise ValueError("an image needs a tag other than latest, or a digest: tomorrow latest is another")
    return image


Image = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][\w.:/@-]*$"), AfterValidator(_is_pinned)]


class LocalLaunch(Section):
    """Processes on this machine."""

    kind: Literal["local"] = Field("local", description="Where stages run: local starts a process here.")
    max_parallel_shards: int = Field(2, ge=1, description="Shards of one group that run at once.")
    num_training_processes: int = Field(
        1,
        ge=1,
        description="Processes (ranks) of a training on this machine; more than one are started by torchrun.",
    )
    timeout_s: float = Field(6 * 3600, gt=0, description="A step that takes longer is stopped.")
    num_threads: int = Field(1, ge=1, description="OMP_NUM_THREADS of each process.")


class ImagesOfPods(Section):
    """Container images, each with a tag or a digest; `latest` is refused, since tomorrow it is another.

    A run that needs one of them and finds none is refused by its plan.
    """

    data: Image | None = Field(
        None, description="All CPU stages, and the client of every inference stage; no torch. Yours to build."
    )
    training: Image | None = Field(
        None, description="Training, and models run by transformers. Yours to build."
    )
    vllm: Image = Field("vllm/vllm-openai:v0.32.0", description="The official vLLM image, unmodified.")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        "IfNotPresent", description="When nodes fetch an image."
    )
    pull_secrets: tuple[ObjectName, ...] = Field((), description="Secrets that open the registry.")


class Toleration(Section):
    """One of a pod's tolerations, in Kubernetes' own words."""

    key: str | None = Field(None, description="The taint's key; unset tolerates every key.")
    operator: Literal["Exists", "Equal"] = Field("Exists", description="Equal also compares the value.")
    value: str | None = Field(None, description="The taint's value, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="The taint's effect; unset tolerates every effect."
    )

    @model_validator(mode="after")
    def _is_accepted(self) -> Toleration:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("a toleration with operator Exists has no value; use Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration with operator Equal needs a key")
        return self


class PodConfig(Section):
    """What a pod of one kind gets, and where it may land."""

    cpu: Quantity = Field("1", description="Cores requested by our container.")
    memory: Quantity = Field("4Gi", description="Memory requested, and its limit.")
    cpu_limit: Quantity | None = Field(None, description="Cores at most; unset is twice what is requested.")
    scratch: Quantity = Field("10Gi", description="Ephemeral disk of the pod: HOME, /tmp, scratch files.")
    num_gpus: int = Field(0, ge=0, description="GPUs of our container (a vLLM server's are its model's).")
    gpu_resource: str = Field("nvidia.com/gpu", description="Extended resource that stands for a GPU.")
    node_selector: dict[str, str] = Field({}, description="Labels that the node must have.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints that the pod tolerates.")
    annotations: dict[str, str] = Field(
        {}, description="Annotations of the pods, for autoscalers, networks and meshes of the cluster."
    )
    priority_class: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    shared_memory: Quantity | None = Field(None, description="Size of /dev/shm; unset is the node's 64 MB.")
    grace_s: int = Field(60, ge=1, description="Seconds from SIGTERM to SIGKILL.")
    queue: ObjectName | None = Field(
        None, description="Kueue LocalQueue that admits the jobs; unset starts them at once."
    )

    @model_validator(mode="after")
    def _limit_holds_the_request(self) -> PodConfig:
        if self.cpu_limit is not None and amount(self.cpu_limit) < amount(self.cpu):
            raise ValueError(f"cpu_limit {self.cpu_limit} is less than cpu {self.cpu}")
        return self


class TrainingPodConfig(PodConfig):
    """As the other kinds, with a training's defaults."""

    memory: Quantity = Field("16Gi", description="Memory requested, and its limit.")
    grace_s: int = Field(
        120, ge=1, description="Seconds from SIGTERM to SIGKILL; torchrun's ranks have 30 of them."
    )


class TrainJobConfig(Section):
    """Training as a Kubeflow TrainJob (Trainer 2.2 or newer); without it a training is a Job on one node."""

    runtime: ObjectName = Field("spavl-training", description="TrainingRuntime of the namespace; ours.")
    num_nodes: int = Field(1, ge=1, description="Nodes; each runs one process per GPU of `training`.")


class KubernetesLaunch(Section):
    """Jobs, Indexed Jobs and TrainJobs in one namespace of a cluster."""

    kind: Literal["kubernetes"]
    namespace: ObjectName = Field("spavl", description="Namespace of all objects.")
    connection: str | None = Field(
        None,
        description="Airflow connection of the cluster; unset is the pod's own service account, or KUBECONFIG.",
    )
    images: ImagesOfPods = Field(default_factory=ImagesOfPods)
    service_account: ObjectName = Field(
        "spavl-job",
        description="Service account of the pods; it needs no rights and its token is not mounted.",
    )
    env: dict[EnvName, str] = Field(
        {}, description="Environment of every container of ours, SPAVL_STORE among it; no secrets."
    )
    secrets: tuple[ObjectName, ...] = Field(
        (), description="Secrets whose keys become environment variables: S3 credentials, API keys."
    )
    model_cache_claim: ObjectName | None = Field(
        None, description="PersistentVolumeClaim that keeps fetched weights; unset fetches them for each pod."
    )
    model_cache_size: Quantity = Field("100Gi", description="Without a claim: disk for a pod's weights.")
    cpu: PodConfig = Field(
        default_factory=PodConfig, description="Pods of CPU stages, and of every prepare and seal."
    )
    inference: PodConfig = Field(default_factory=PodConfig, description="Pods that ask models.")
    training: TrainingPodConfig = Field(
        default_factory=TrainingPodConfig, description="Pods that train; one process per GPU."
    )
    trainjob: TrainJobConfig | None = Field(
        None, description="Train by Kubeflow Trainer; unset is a Job on one node."
    )
    max_parallel_shards: int = Field(8, ge=1, description="Shards (pods) of one group that run at once.")
    num_retries: int = Field(
        2,
        ge=0,
        description="New pods for a shard that failed; evictions, preemptions and lost nodes are free.",
    )
    num_server_restarts: int = Field(
        3, ge=0, description="A vLLM server that was restarted more often fails its shard."
    )
    timeout_s: float = Field(
        24 * 3600, ge=60, description="A job that runs longer is stopped; waiting in a queue does not count."
    )
    pending_timeout_s: float = Field(
        3600,
        ge=1,
        description="Pods that cannot start for so long fail the task; waiting in a queue does not count.",
    )
    orphaned_after_s: float = Field(
        1800, ge=60, description="`spavl sweep` removes a job that nobody has watched for so long."
    )
    poll_s: float = Field(10, gt=0, description="Seconds between two looks at a job.")
    num_threads: int = Field(1, ge=1, description="OMP_NUM_THREADS of each process.")

    @property
    def num_training_processes(self) -> int:
        """Ranks of a training on one node."""
        return max(1, self.training.num_gpus)


LaunchConfig = Annotated[LocalLaunch | KubernetesLaunch, Field(discriminator="kind")]

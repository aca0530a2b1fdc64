"""Opens a client of the cluster: an Airflow connection, KUBECONFIG, the pod's service account, or ~/.kube/config, in this order.

Credentials are read when a client is opened, so a new client has what a rotated token or file says now.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from spavl.errors import UserError


@asynccontextmanager
async def open_client(connection: str | None) -> AsyncIterator[Any]:
    """A kubernetes_asyncio ApiClient; `connection` is the id of an Airflow connection."""
    opened = _of_airflow(connection) if connection else _of_surroundings()
    async with opened as client:
        yield client


@asynccontextmanager
async def _of_airflow(connection: str) -> AsyncIterator[Any]:
    """What the provider's hook makes of the connection."""
    try:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
        from airflow.sdk.exceptions import AirflowNotFoundException
    except ImportError:
        raise UserError(
            f"launch.connection is {connection!r}, an Airflow connection, and Airflow's Kubernetes provider is not installed here.",
            next_step='Install "spavl[airflow,kubernetes]", or unset launch.connection and set KUBECONFIG.',
        ) from None
    try:
        async with AsyncKubernetesHook(conn_id=connection).get_conn() as client:
            yield client
    except AirflowNotFoundException:
        raise UserError(
            f"Airflow has no connection {connection!r}, which launch.connection names.",
            next_step="Create it, of type Kubernetes Cluster Connection, or unset launch.connection.",
        ) from None


@asynccontextmanager
async def _of_surroundings() -> AsyncIterator[Any]:
    """KUBECONFIG where it is set, the service account in a pod, ~/.kube/config elsewhere."""
    try:
        from kubernetes_asyncio import client, config
    except ImportError:
        raise UserError(
            "this profile runs its stages on Kubernetes, and its client is not installed here.",
            next_step='pip install "spavl[kubernetes]"',
        ) from None
    configuration = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG"):
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise _unusable(f"the service account of this pod: {error}") from None
    else:
        files = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        if not any(Path(file).is_file() for file in files.split(os.pathsep)):
            whose = "KUBECONFIG" if os.environ.get("KUBECONFIG") else "KUBECONFIG is not set, and the default"
            raise _unusable(f"{whose} is {files}, where no file is")
        try:
            await config.load_kube_config(config_file=files, client_configuration=configuration)
        except (
            Exception
        ) as error:  # of the YAML, the base64, the certificates, a command that fetches a token
            raise _unusable(f"{files}: {' '.join(str(error).split()) or type(error).__name__}") from None
    async with client.ApiClient(configuration) as opened:
        yield opened


def _unusable(why: str) -> UserError:
    return UserError(
        f"there are no usable credentials of a cluster here ({why.rstrip('.')}).",
        next_step="Set KUBECONFIG, run inside a pod with a service account, or name an Airflow connection in launch.connection.",
    )


def connection_errors() -> tuple[type[BaseException], ...]:
    """What a call raises where the API server cannot be reached, is slow, or hangs up."""
    import aiohttp

    return (aiohttp.ClientError, TimeoutError, ConnectionError)

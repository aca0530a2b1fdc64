"""A pod that is deleted ends at once, although the command is the first process of its container."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

NEW_PID_NAMESPACE = ("unshare", "--pid", "--kill-child", "--fork")


@pytest.mark.skipif(
    subprocess.run([*NEW_PID_NAMESPACE, "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a process namespace as a container has (unshare --pid), which this user may not make",
)
def test_the_first_process_of_a_container_ends_on_sigterm() -> None:
    import psutil

    with socket.create_server(("127.0.0.1", 0)) as silent_s3:
        store = {
            "SPAVL_STORE": "s3://bucket",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent_s3.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        command = [*NEW_PID_NAMESPACE, sys.executable, "-m", "spavl", "status"]
        with subprocess.Popen(command, env={**os.environ, **store}) as outside:
            try:
                connection, _ = silent_s3.accept()  # now it waits for an answer that never comes
                (first,) = psutil.Process(outside.pid).children()
                first.send_signal(signal.SIGTERM)
                assert outside.wait(timeout=30) == 128 + signal.SIGTERM
                connection.close()
            finally:
                outside.kill()

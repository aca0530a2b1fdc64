"""The client of the cluster against real HTTP that misbehaves: what is tried again, what is not, and how it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.cluster_api import NAMESPACE, ClusterApi

from spavl.errors import TryAgain, UserError
from spavl.launch.cluster import Cluster, Patience
from spavl.launch.refusals import ClusterAway, Conflict, MissingKind

QUICK = Patience(call_timeout_s=5, retry_delays_s=(0.01, 0.01, 0.01))
JOB = {"metadata": {"name": "a", "namespace": NAMESPACE}}


def on(call: Callable[[Cluster], Awaitable], patience: Patience = QUICK):
    async def run():
        async with Cluster(NAMESPACE, patience=patience) as cluster:
            return await call(cluster)

    return asyncio.run(run())


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 429, 410, "reset"])
def test_a_passing_fault_is_not_noticed(api: ClusterApi, fault: int | str) -> None:
    api.put("batch/jobs", {"metadata": {"name": "a"}})
    api.faults = [fault, fault]
    assert on(lambda cluster: cluster.get("Job", "a"))["metadata"]["name"] == "a"
    assert len(api.calls) == 3


def test_faults_that_stay_end_as_try_again_and_name_what_was_asked(api: ClusterApi) -> None:
    api.faults = [500] * 9
    with pytest.raises(ClusterAway, match=r"does not list batch/jobs in namespace 'spavl': 500"):
        on(lambda cluster: cluster.list("Job"))
    assert len(api.calls) == 4
    assert issubclass(ClusterAway, TryAgain)


def test_an_address_where_nothing_listens_is_a_cluster_that_is_away(
    api: ClusterApi, tmp_path, monkeypatch
) -> None:
    api.url = "http://127.0.0.1:9"
    monkeypatch.setenv("KUBECONFIG", str(api.write_kubeconfig(tmp_path / "elsewhere")))
    with pytest.raises(ClusterAway, match="ClientConnectorError"):
        on(lambda cluster: cluster.get("Job", "a"))


def test_a_server_that_never_answers_is_left_after_the_call_timeout(api: ClusterApi) -> None:
    with api.lock, pytest.raises(ClusterAway, match="TimeoutError"):  # the server waits for the lock
        on(lambda cluster: cluster.get("Job", "a"), Patience(call_timeout_s=0.2, retry_delays_s=()))


def test_an_expired_token_is_read_anew(api: ClusterApi, tmp_path: Path) -> None:
    """The kubelet or an identity provider has written another token while the client was open."""
    api.put("batch/jobs", {"metadata": {"name": "a"}})

    async def expire(cluster: Cluster):
        await cluster.get("Job", "a")
        api.credential = "second"
        api.write_kubeconfig(tmp_path / "kubeconfig")
        return await cluster.get("Job", "a")

    assert on(expire)["metadata"]["name"] == "a"


def test_a_token_that_stays_refused_is_tried_once_more_only(api: ClusterApi) -> None:
    api.credential = "another"
    with pytest.raises(ClusterAway, match="401 Unauthorized") as caught:
        on(lambda cluster: cluster.get("Job", "a"))
    assert "renew the token of KUBECONFIG" in caught.value.next_step
    assert len(api.calls) == 2


def test_what_exists_already_is_told_apart_from_what_was_made(api: ClusterApi) -> None:
    assert on(lambda cluster: cluster.create("Job", JOB))["metadata"]["uid"]
    assert on(lambda cluster: cluster.create("Job", JOB)) is None


def test_a_creation_whose_answer_was_lost_is_seen_as_existing(api: ClusterApi, monkeypatch) -> None:
    answer = ClusterApi.answer
    lost = iter([True])

    def lose_the_first(self, request):
        said = answer(self, request)
        return "reset" if next(lost, False) else said

    monkeypatch.setattr(ClusterApi, "answer", lose_the_first)
    assert on(lambda cluster: cluster.create("Job", JOB)) is None
    assert len(api.of("batch/jobs")) == 1


def test_a_change_of_an_old_version_is_a_conflict(api: ClusterApi) -> None:
    old = api.put("batch/jobs", {"metadata": {"name": "a"}})["metadata"]["resourceVersion"]
    api.changed("batch/jobs", "a")
    with pytest.raises(Conflict):
        on(lambda cluster: cluster.patch("Job", "a", {"metadata": {"resourceVersion": old}}))
    uid = api.objects["batch/jobs", "a"]["metadata"]["uid"]
    with pytest.raises(Conflict):
        on(lambda cluster: cluster.delete("Job", "a", uid, old))
    assert len(api.of("batch/jobs")) == 1


def test_what_is_not_there_is_none_and_no_error(api: ClusterApi) -> None:
    assert on(lambda cluster: cluster.get("Job", "a")) is None
    assert on(lambda cluster: cluster.patch("Job", "a", {})) is None
    assert on(lambda cluster: cluster.log("pod", "spavl", num_lines=5, num_bytes=100)) == ""
    on(lambda cluster: cluster.delete("Job", "a", "u", "1"))


def test_a_kind_that_is_not_there_is_an_error(api: ClusterApi) -> None:
    api.served.clear()
    with pytest.raises(MissingKind):
        on(lambda cluster: cluster.get("Job", "a"))


def test_a_long_list_is_read_page_by_page(api: ClusterApi, monkeypatch) -> None:
    monkeypatch.setattr("spavl.launch.cluster.PAGE", 2)
    for name in "abcde":
        api.put("batch/jobs", {"metadata": {"name": name}})
    found = on(lambda cluster: cluster.list("Job"))
    assert [one["metadata"]["name"] for one in found] == list("abcde") and len(api.calls) == 3


def test_a_list_whose_next_page_is_too_old_is_read_from_the_start(api: ClusterApi, monkeypatch) -> None:
    monkeypatch.setattr("spavl.launch.cluster.PAGE", 2)
    for name in "abc":
        api.put("batch/jobs", {"metadata": {"name": name}})
    answer = ClusterApi.answer
    expired = iter([False, True])

    def expire_the_second_page(self, request):
        if next(expired, False):
            self.faults = [410]
        return answer(self, request)

    monkeypatch.setattr(ClusterApi, "answer", expire_the_second_page)
    assert [one["metadata"]["name"] for one in on(lambda cluster: cluster.list("Job"))] == list("abc")


def test_the_newest_lines_of_a_log_are_read(api: ClusterApi) -> None:
    api.put("core/pods", {"metadata": {"name": "p"}})
    api.logs["p", "spavl", False] = "".join(f"line {number}\n" for number in range(100))
    text = on(lambda cluster: cluster.log("p", "spavl", num_lines=2, num_bytes=1000))
    assert text.splitlines() == ["line 98", "line 99"]


def test_a_log_that_its_lost_node_cannot_give_is_empty_and_asked_for_once(api: ClusterApi) -> None:
    api.faults = [500, 500]
    assert on(lambda cluster: cluster.log("p", "spavl", num_lines=2, num_bytes=1000)) == ""
    assert len(api.calls) == 1


def test_a_verb_that_the_table_lacks_is_never_sent(api: ClusterApi) -> None:
    from spavl.launch.cluster import RESOURCES

    with pytest.raises(ValueError, match="delete of core/pods"):
        on(lambda cluster: cluster._call("delete", RESOURCES["Pod"], "p"))
    assert api.calls == []


def test_without_any_credentials_the_ways_to_give_them_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no usable credentials") as caught:
        on(lambda cluster: cluster.get("Job", "a"))
    assert f"KUBECONFIG is {tmp_path / 'none'}" in caught.value.message
    assert "KUBECONFIG" in caught.value.next_step and "launch.connection" in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    ["hello: [", "- a list", "", "clusters: [{name: c}]\ncurrent-context: c", "current-context: c", "\0"],
)
def test_a_kubeconfig_that_cannot_be_used_is_the_users_mistake(
    tmp_path: Path, monkeypatch, text: str
) -> None:
    (tmp_path / "broken").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "broken"))
    with pytest.raises(UserError) as caught:
        on(lambda cluster: cluster.get("Job", "a"))
    assert str(tmp_path / "broken") in caught.value.message and "\n" not in caught.value.message


def test_a_server_that_asks_for_patience_is_given_it(api: ClusterApi, monkeypatch) -> None:
    """429 with Retry-After: nothing is sent before that time, whatever our own delays say."""
    from tests import cluster_api

    refusal = cluster_api.status(429, "TooManyRequests", "later")
    refusal.headers["Retry-After"] = "0.3"
    sent: list[float] = []
    answer = ClusterApi.answer

    def ask_for_patience(self, request):
        sent.append(time.monotonic())
        return refusal if len(sent) == 1 else answer(self, request)

    monkeypatch.setattr(ClusterApi, "answer", ask_for_patience)
    on(lambda cluster: cluster.get("Job", "a"))
    assert sent[1] - sent[0] >= 0.3

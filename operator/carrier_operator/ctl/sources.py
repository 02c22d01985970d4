"""Where carrierctl takes bindings and pods from: files, or the cluster that kubectl would speak to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

from carrier_operator.kube.client import ApiError, Client
from carrier_operator.kube.config import NoCluster, load
from carrier_operator.models import API_VERSION, GROUP, KIND, PLURAL, VERSION, Binding
from carrier_operator.policy import Policy, Unaccepted, read_binding
from carrier_operator.stores import NodeStore

from .checks import Result
from .documents import files, parse, read_text
from .inspection import inspect

Bindings = list[Binding | Unaccepted]


class ClusterTrouble(Exception):
    """The cluster can't be asked; the message is for the user."""


def bindings_of(documents: list[Any], policy: Policy, default_namespace: str) -> Bindings:
    """The CarrierBindings among documents (Lists included); those without a namespace are of the default one."""
    found: Bindings = []
    for document in documents:
        if not isinstance(document, dict):
            continue
        if isinstance(document.get("items"), list):
            found += bindings_of(document["items"], policy, default_namespace)
        elif document.get("kind") == KIND and document.get("apiVersion") == API_VERSION:
            metadata = {"namespace": default_namespace, **(document.get("metadata") or {})}
            found.append(read_binding({**document, "metadata": metadata}, policy))
    return found


def bindings_in_files(paths: list[str], policy: Policy, default_namespace: str) -> Bindings:
    """The CarrierBindings in these files and folders. BadInput."""
    documents = [document.value for path in paths for file in files(path) for document in parse(read_text(file), file)]
    return bindings_of(documents, policy, default_namespace)


class ClusterSource:
    """The cluster of a kubeconfig's context."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        try:
            self._config = load(os.environ, kubeconfig, context)
        except NoCluster as error:
            raise ClusterTrouble(str(error)) from error

    @property
    def namespace(self) -> str:
        """The context's namespace."""
        return self._config.namespace

    def pod(self, namespace: str, name: str) -> dict[str, Any]:
        """One pod. ClusterTrouble, also when it is not there."""

        async def get(client: Client) -> dict[str, Any]:
            found: dict[str, Any] = await client.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
            return found

        found: dict[str, Any] = self._run(get)
        return found

    def documents(self, namespace: str | None) -> list[dict[str, Any]]:
        """The bindings as they are, of one namespace or (None) of all. ClusterTrouble."""
        where = f"namespaces/{namespace}/" if namespace is not None else ""
        found: list[dict[str, Any]] = self._run(self._items(f"/apis/{GROUP}/{VERSION}/{where}{PLURAL}"))
        return found

    def inspect(self, namespace: str) -> list[Result]:
        """What `carrierctl check` finds. ClusterTrouble."""
        found: list[Result] = self._run(lambda client: inspect(client, namespace))
        return found

    def all_native(self) -> bool:
        """Can every node's kubelet run native sidecars? ClusterTrouble."""
        nodes = NodeStore()
        for item in self._run(self._items("/api/v1/nodes")):
            nodes.put(item)
        return nodes.all_native()

    @staticmethod
    def _items(path: str) -> Any:
        async def items(client: Client) -> list[dict[str, Any]]:
            return [item async for page in client.pages(path) for item in page.get("items") or ()]

        return items

    def _run(self, call: Any) -> Any:
        async def whole() -> Any:
            async with Client(self._config) as client:
                work: Coroutine[Any, Any, Any] = call(client)
                return await work

        try:
            return asyncio.run(whole())
        except ApiError as error:
            raise ClusterTrouble(str(error)) from error

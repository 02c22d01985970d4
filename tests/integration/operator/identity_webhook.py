"""A second mutating webhook that adds an AWS identity to pods, as the cloud's own does; for tests of the order of
webhooks.

`strips` makes it one of the old kind that knows no restartPolicy of init containers and drops it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import threading
from typing import Any

from aiohttp import web

TOKEN_DIR = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
ENV = [
    {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/worker"},
    {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{TOKEN_DIR}/token"},
]
MOUNT = {"name": "aws-iam-token", "mountPath": TOKEN_DIR, "readOnly": True}
VOLUME = {
    "name": "aws-iam-token",
    "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]},
}


class IdentityWebhook:
    """Serves on `address` in a thread of its own; `url` is where."""

    def __init__(self, address: str, pair: tuple[bytes, bytes], *, strips: bool = False) -> None:
        self.url = ""
        self.calls = 0
        self._strips = strips
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, pair, started), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, address: str, pair: tuple[bytes, bytes], started: threading.Event) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair[0] + pair[1])
            file.flush()
            context.load_cert_chain(file.name)
        application = web.Application(client_max_size=1 << 24)
        application.router.add_post("/", self._handle)
        runner = web.AppRunner(application, access_log=None)

        async def serve() -> None:
            await runner.setup()
            await web.TCPSite(runner, address, 0, ssl_context=context).start()
            self.url = f"https://{address}:{runner.addresses[0][1]}/"
            started.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.Response:
        self.calls += 1
        review = await request.json()
        spec: dict[str, Any] = review["request"]["object"]["spec"]
        changed = json.loads(json.dumps(spec))
        for container in changed["containers"]:
            names = {entry["name"] for entry in container.get("env") or ()}
            container["env"] = [*(container.get("env") or ()), *(entry for entry in ENV if entry["name"] not in names)]
            mounts = container.get("volumeMounts") or []
            if all(mount["mountPath"] != TOKEN_DIR for mount in mounts):
                container["volumeMounts"] = [*mounts, MOUNT]
        if all(volume["name"] != VOLUME["name"] for volume in changed.get("volumes") or ()):
            changed["volumes"] = [*(changed.get("volumes") or ()), VOLUME]
        if self._strips:
            for container in changed.get("initContainers") or ():
                container.pop("restartPolicy", None)
        response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": True}
        if changed != spec:
            patch = [{"op": "replace", "path": "/spec", "value": changed}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

"""ElasticMQ for the contract suite: fetches its jars once with Maven, starts it on a free port, stops it.

The jars are kept in the user's cache directory. Where Java or Maven are missing, or the fetch fails, `jars()` raises
`Unavailable` with the reason, which the suite shows as the reason for skipping. Run as a program it only fetches.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "1.6.14"
FETCH_TIMEOUT_S = 300
START_TIMEOUT_S = 40

# The published POM names a test module that was never published: it has to be excluded.
POM = f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>carrier.tests</groupId><artifactId>elasticmq</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>{VERSION}</version>
      <exclusions>
        <exclusion><groupId>org.elasticmq</groupId><artifactId>elasticmq-common-test_2.13</artifactId></exclusion>
      </exclusions>
    </dependency>
  </dependencies>
</project>
"""


class Unavailable(Exception):
    """ElasticMQ can't be had here; the text says why."""


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "carrier" / f"elasticmq-{VERSION}"


def jars() -> Path:
    """The directory with ElasticMQ's jars, fetched on first use."""
    if shutil.which("java") is None:
        raise Unavailable("ElasticMQ needs Java, which is not installed")
    directory = cache_dir() / "lib"
    if directory.is_dir():
        return directory
    if shutil.which("mvn") is None:
        raise Unavailable("ElasticMQ is fetched with Maven (mvn), which is not installed")
    cache_dir().parent.mkdir(parents=True, exist_ok=True)
    # Into a directory of our own, renamed when complete: a fetch that was cut short is never taken for a whole one.
    with tempfile.TemporaryDirectory(dir=cache_dir().parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(POM)
        command = ["mvn", "-q", "-B", "-f", f"{scratch}/pom.xml", "dependency:copy-dependencies"]
        command.append(f"-DoutputDirectory={scratch}/lib")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"fetching ElasticMQ with Maven took more than {FETCH_TIMEOUT_S} s") from error
        if done.returncode != 0:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            raise Unavailable(f"fetching ElasticMQ with Maven failed: {lines[0] if lines else done.returncode}")
        cache_dir().mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another run was faster: its copy is as good
            os.rename(f"{scratch}/lib", directory)
    return directory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Starts ElasticMQ and yields its base URL."""
    lib = jars()
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "elasticmq.conf"
        config.write_text(
            'include classpath("application.conf")\n'
            f'rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port}, sqs-limits = strict }}\n'
            "rest-stats { enabled = false }\n"
            # As it comes: the QueueUrl that it answers names a port on which nothing listens.
            'node-address { protocol = http, host = localhost, port = 9324, context-path = "" }\n'
        )
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            command = ["java", "-Xmx256m", "-XX:+UseSerialGC", f"-Dconfig.file={config}", "-cp", f"{lib}/*"]
            server = subprocess.Popen([*command, "org.elasticmq.server.Main"], stdout=output, stderr=output)
        try:
            _wait_for(port, server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise Unavailable(f"ElasticMQ did not start: {log.read_text(errors='replace')[-400:]}")


if __name__ == "__main__":
    print(jars())  # noqa: T201  # run as a program

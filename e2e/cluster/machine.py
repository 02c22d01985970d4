"""What a node changes on the machine beyond its own processes, and the way back: bridge, filter, cgroups, sysctls.

Nothing that pods send leaves the machine: what is neither for the bridge nor for the machine itself is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import cache, network_number
from .commands import run, succeeds

_CGROUPS = Path("/sys/fs/cgroup")
# The kubelet and the CNI plugins set these and never put them back.
_SYSCTLS = (
    "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "net.ipv4.ip_forward",
)  # fmt: skip


def bridge_name(number: int) -> str:
    """The bridge's name; the nftables table has it too."""
    return f"carrier{number}"


def gateway(number: int) -> str:
    """The machine's own address on the bridge: where pods reach what a test listens with."""
    return f"10.{number}.1.1"


def cgroup(number: int) -> str:
    """The cgroup of everything on the node, from the root of each hierarchy."""
    return f"/carrier-{number}"


def prepare(number: int, api_server: str, env: Mapping[str, str]) -> None:
    """Make cgroups, bridge and filter. The first Service's port 443 leads to `api_server` (address:port)."""
    _remember_sysctls()
    for hierarchy in _hierarchies():
        (hierarchy / cgroup(number)[1:]).mkdir(exist_ok=True)
    bridge = bridge_name(number)
    run(["ip", "link", "add", bridge, "type", "bridge"], env=env)
    run(["ip", "address", "add", f"{gateway(number)}/24", "dev", bridge], env=env)
    run(["ip", "link", "set", bridge, "up"], env=env)
    # Or packets from the bridge could not be led to a loopback address.
    Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1")
    run(["nft", "-f", "-"], env=env, stdin=_filter(number, api_server))


def restore(number: int, env: Mapping[str, str]) -> None:
    """Undo `prepare`, as far as it came; but for the sysctls."""
    succeeds(["nft", "delete", "table", "ip", bridge_name(number)], env=env)
    succeeds(["ip", "link", "delete", bridge_name(number)], env=env)
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / cgroup(number)[1:], topdown=False):
            os.rmdir(directory)


def unmount_below(directory: Path, env: Mapping[str, str]) -> None:
    """Unmount all that is mounted below a directory, innermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(f"{directory}/"):
            succeeds(["umount", "--lazy", point], env=env)


def _filter(number: int, api_server: str) -> str:
    bridge, pods = bridge_name(number), f"10.{number}.0.0/16"
    to_api = f"ip daddr 10.{number}.0.1 tcp dport 443 dnat to {api_server}"
    return f"""table ip {bridge} {{
        chain from_pods {{ type nat hook prerouting priority -100; {to_api}; }}
        chain from_machine {{ type nat hook output priority -100; {to_api}; }}
        chain stray {{ type filter hook output priority 10; ip daddr {pods} oifname != {{ "{bridge}", "lo" }} drop; }}
        chain leaving {{ type filter hook forward priority 10; iifname "{bridge}" oifname != "{bridge}" drop; }}
    }}"""


def _hierarchies() -> list[Path]:
    """The one hierarchy of cgroup v2, or each of v1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [entry for entry in _CGROUPS.iterdir() if entry.is_dir() and not entry.is_symlink()]


@contextmanager
def _sysctls_before() -> Iterator[Path]:
    """The file with the values from before the first node of several; held by one process at a time."""
    with cache.locked("sysctls"):
        yield cache.root() / "sysctls.json"


def _remember_sysctls() -> None:
    with _sysctls_before() as file:
        if not file.exists():  # else another node is up, or one was killed: the file's values are the machine's own
            file.write_text(json.dumps({name: _sysctl(name).read_text().strip() for name in _SYSCTLS}))


def restore_sysctls(number: int) -> None:
    """Put back what nodes have set, once this is the last cluster, whether it has a node or not."""
    with _sysctls_before() as file:
        if file.exists() and not network_number.others(number):
            for name, value in json.loads(file.read_text()).items():
                _sysctl(name).write_text(value)
            file.unlink()


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))

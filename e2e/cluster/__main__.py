"""For people: `python -m e2e.cluster prepare|up|down|keep`.

prepare [--no-node]   build and download what the tests' cluster needs (minutes on the first call, then nothing)
up DIR [--no-node]    start a local cluster that stays, with its files in DIR; prints its KUBECONFIG
down DIR              end it
keep [--no-node]      start one that ends with standard input (what the tests use)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import choice, keeper, local
from .errors import ClusterError, Unavailable


def main(arguments: list[str]) -> int:
    """Run one command; an exit code. Errors in one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("prepare", "up", "down", "keep"):
        command = commands.add_parser(name)
        if name in ("up", "down"):
            command.add_argument("directory", type=Path)
        if name != "down":
            command.add_argument(
                "--no-node", action="store_true", help="API server, scheduler, controller manager only"
            )
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "keep":
        return keeper.keep(with_node=not options.no_node)
    if options.command == "prepare":
        return _prepare(with_node=not options.no_node)
    if options.command == "up":
        print(local.start(options.directory.resolve(), with_node=not options.no_node).kubeconfig)
    else:
        local.stop(options.directory.resolve())
    return 0


def _prepare(*, with_node: bool) -> int:
    try:
        choice.prepare(with_node=with_node)
    except Unavailable as missing:
        print(f"no cluster here: {missing}", file=sys.stderr)  # no failure: the tests are skipped and say the same
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

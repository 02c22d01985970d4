"""carrierctl, and `kubectl carrier`: arguments, output, exit codes. The work is done by offline.py and explain.py.

Exit codes: 0 done (why: the pod gets a sidecar; status, check: all is well); 1 left out (why: it gets none, or lacks
it; inject --strict: with a warning; status: a binding is not Ready; check: a check failed); 2 usage or input that
can't be used; 3 the cluster can't be asked.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console

import carrier_sidecar
from carrier_operator.container import ClusterFacts
from carrier_operator.inject import inject, offline_token
from carrier_operator.pods import BadPod
from carrier_operator.policy import Policy, read_binding
from carrier_operator.workloads import is_list, template_of

from . import alive, checks, documents, explain, offline, standing
from .documents import BadInput, Document
from .sources import Bindings, ClusterSource, ClusterTrouble, bindings_in_files, bindings_of

WIDTH = 10_000  # nothing is broken into lines but by the terminal: commands in messages are for copying
DONE, LEFT_OUT, BAD_INPUT, NO_CLUSTER = 0, 1, 2, 3
DEFAULT_IMAGE = f"carrier/sidecar:{carrier_sidecar.__version__}"


def arguments() -> argparse.ArgumentParser:
    """What carrierctl takes."""
    parser = argparse.ArgumentParser(prog="carrierctl", description=__doc__.partition("\n")[0], epilog=_EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True)
    help_of = {
        "inject": "add sidecars to the workloads of a manifest",
        "uninject": "take sidecars out of a manifest again",
        "why": "say which sidecars a pod gets, and what decided it",
    }
    made = {
        name: commands.add_parser(name, help=text, description=text, epilog=_EXIT_CODES)
        for name, text in help_of.items()
    }
    for name, command in made.items():
        required = name != "why"
        command.add_argument(
            "-f", "--filename", action="append", required=required, help="a manifest, or - for standard input"
        )
        command.add_argument("-o", "--output", choices=("json", "yaml"), help="for machines")
    made["why"].add_argument("pod", nargs="?", help="a pod of the cluster")
    for name in ("inject", "why"):
        command = made[name]
        command.add_argument(
            "-b", "--bindings", action="append", default=[], help="file or folder with CarrierBindings"
        )
        command.add_argument("--from-cluster", action="store_true", help="take bindings from the cluster, too")
        command.add_argument("-n", "--namespace", help="namespace of what names none")
        command.add_argument("--kubeconfig", help="as kubectl's")
        command.add_argument("--context", help="as kubectl's")
        command.add_argument(
            "--sidecar-image", default=DEFAULT_IMAGE, help="image of the sidecar (default: %(default)s)"
        )
        command.add_argument(
            "--native",
            choices=("auto", "true", "false"),
            default="auto",
            help="whether sidecars of mode Auto are native (auto: as the cluster says, else true)",
        )
    _cluster_commands(commands)
    made["inject"].add_argument("--strict", action="store_true", help="exit with 1 when there is a warning")
    return parser


def _cluster_commands(commands: Any) -> None:
    """status and check, which ask the cluster only."""
    for name, text in (
        ("status", "show the bindings of the cluster: pods, missing sidecars, queues"),
        ("check", "look whether the installation works: webhook, certificates, rights, policy"),
    ):
        command = commands.add_parser(name, help=text, description=text, epilog=_EXIT_CODES)
        command.add_argument("-n", "--namespace", help="the bindings' namespace; check: one that pods are injected in")
        command.add_argument("--kubeconfig", help="as kubectl's")
        command.add_argument("--context", help="as kubectl's")
        command.add_argument("-o", "--output", choices=("json", "yaml"), help="for machines")
        if name == "status":
            command.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")


_EXIT_CODES = (
    "Exit codes: 0 done (why: the pod gets a sidecar); 1 left out (why: it gets none, or lacks it; inject --strict: a "
    "warning; status: a binding is not Ready; check: a check failed); "
    "2 usage or input that can't be used; 3 the cluster can't be asked."
)


class Context:
    """What the arguments say about bindings, namespace and cluster; the cluster is asked when it is needed."""

    def __init__(self, given: argparse.Namespace, read: list[Document]) -> None:
        asks_cluster = given.from_cluster or (given.command == "why" and given.pod is not None)
        self._cluster = ClusterSource(given.kubeconfig, given.context) if asks_cluster else None
        self.namespace: str = given.namespace or (self._cluster.namespace if self._cluster is not None else "default")
        policy = Policy.without_limits()
        self._offline = bindings_in_files(given.bindings, policy, self.namespace)
        self._offline += bindings_of([document.value for document in read], policy, self.namespace)
        self._by_namespace: dict[str, Bindings] = {}
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self._alive = given.command == "why" and given.pod is not None
        native = given.native == "true" or (
            given.native == "auto" and (self._cluster is None or self._cluster.all_native())
        )
        self.facts = ClusterFacts(given.sidecar_image, native=native)

    @property
    def knows_bindings(self) -> bool:
        """Is there any place where bindings could come from?"""
        return self._cluster is not None or bool(self._offline)

    @property
    def cluster(self) -> ClusterSource:
        """The cluster, for commands that name something in it."""
        if self._cluster is None:
            raise ClusterTrouble("no cluster was asked for")
        return self._cluster

    def bindings(self, namespace: str) -> Bindings:
        """All bindings of one namespace; files win over the cluster."""
        if namespace not in self._by_namespace:
            offline_ones = [it for it in self._offline if it.namespace == namespace]
            names = {it.name for it in offline_ones}
            theirs: Bindings = []
            if self._cluster is not None:
                theirs = [read_binding(it, Policy.without_limits()) for it in self.documents(namespace)]
            if self._alive:
                theirs = alive.as_the_controller_sees_them(theirs, self.documents(namespace))
            self._by_namespace[namespace] = [*offline_ones, *(it for it in theirs if it.name not in names)]
        return self._by_namespace[namespace]

    def documents(self, namespace: str) -> list[dict[str, Any]]:
        """The cluster's bindings of one namespace as they are."""
        if namespace not in self._documents:
            self._documents[namespace] = self.cluster.documents(namespace)
        return self._documents[namespace]


def read_all(paths: list[str] | None) -> list[Document]:
    """All documents of all files. BadInput."""
    return [
        it
        for path in paths or ()
        for file in documents.files(path)
        for it in documents.parse(documents.read_text(file), file)
    ]


def write(read: list[Document], changed: list[Any], form: str | None) -> None:
    """The changed stream on standard output: as YAML as it came, or as one JSON List."""
    if form == "json":
        whole = changed[0] if len(changed) == 1 else {"apiVersion": "v1", "kind": "List", "items": changed}
        sys.stdout.write(documents.dump(whole, "json"))
    else:
        sys.stdout.write(documents.stream(list(zip(read, changed, strict=True))))


def run_inject(given: argparse.Namespace, console: Console) -> int:
    """carrierctl inject."""
    read = read_all(given.filename)
    context = Context(given, read)
    if not context.knows_bindings:
        raise BadInput("no bindings: give them by --bindings, in the manifests themselves, or by --from-cluster")
    changed, outcomes = offline.inject_all(
        [it.value for it in read], context.bindings, context.namespace, context.facts
    )
    write(read, changed, given.output)
    for outcome in outcomes:
        added = [f"carrier-{binding.name}" for binding in outcome.injection.injected]
        if added:
            console.print(f"[green]{outcome.name}[/]: {', '.join(added)}", highlight=False)
        elif not outcome.injection.warnings:
            console.print(f"[dim]{outcome.name}: {outcome.injection.skipped[0].message}[/]", highlight=False)
        for warning in outcome.injection.warnings:
            console.print(f"[yellow]{outcome.name}: warning:[/] ", end="", highlight=False)
            console.print(warning, markup=False, highlight=False)
    warned = any(outcome.injection.warnings for outcome in outcomes)
    return LEFT_OUT if given.strict and warned else DONE


def run_uninject(given: argparse.Namespace) -> int:
    """carrierctl uninject."""
    read = read_all(given.filename)
    write(read, offline.uninject_all([it.value for it in read]), given.output)
    return DONE


def run_why(given: argparse.Namespace, console: Console) -> int:
    """carrierctl why."""
    if (given.pod is None) == (given.filename is None):
        raise BadInput("name a pod, or give a manifest by -f")
    read = read_all(given.filename)
    context = Context(given, read)
    subjects: list[dict[str, Any]] = []
    for document in _workloads([it.value for it in read]) if given.pod is None else [_pod_of(given, context)]:
        template = template_of(document)
        if template is None:
            continue
        namespace = template.namespace or context.namespace
        bindings = context.bindings(namespace)
        token = offline_token(template.pod, bindings)
        injection = inject(template.pod, namespace, bindings, context.facts, token, completes=template.completes)
        found = explain.explain(template.pod, namespace, bindings, injection)
        if given.pod is not None:
            found["lacking"] = alive.lacking(document, found["sidecars"], context.documents(namespace))
        subjects.append({"name": template.name, **found})
    if not subjects:
        raise BadInput("there is no workload in what was given")
    if given.output:
        sys.stdout.write(documents.dump(subjects[0] if len(subjects) == 1 else subjects, given.output))
    else:
        for subject in subjects:
            console.print(explain.for_people(subject["name"], subject))
    well = all(subject["sidecars"] and not subject.get("lacking") for subject in subjects)
    return DONE if well else LEFT_OUT


def run_status(given: argparse.Namespace, console: Console) -> int:
    """carrierctl status."""
    cluster = ClusterSource(given.kubeconfig, given.context)
    found = cluster.documents(None if given.all_namespaces else given.namespace or cluster.namespace)
    rows = sorted((standing.standing(it) for it in found), key=lambda it: (it["namespace"], it["name"]))
    if given.output:
        sys.stdout.write(documents.dump(rows, given.output))
    else:
        console.print(standing.for_people(rows))
    return DONE if all(standing.is_well(it) for it in rows) else LEFT_OUT


def run_check(given: argparse.Namespace, console: Console) -> int:
    """carrierctl check."""
    cluster = ClusterSource(given.kubeconfig, given.context)
    results = cluster.inspect(given.namespace or cluster.namespace)
    if given.output:
        sys.stdout.write(documents.dump([it.data() for it in results], given.output))
    else:
        colours = {checks.OK: "green", checks.FAILED: "red", checks.UNKNOWN: "yellow"}
        for it in results:
            console.print(f"[{colours[it.outcome]}]{it.outcome:<8}[/]{it.name}: ", end="", highlight=False)
            console.print(it.message, markup=False, highlight=False)
            if it.remedy and it.outcome == checks.FAILED:
                console.print(f"        {it.remedy}", markup=False, highlight=False, style="dim")
    return LEFT_OUT if any(it.outcome == checks.FAILED for it in results) else DONE


def _pod_of(given: argparse.Namespace, context: Context) -> dict[str, Any]:
    found = context.cluster.pod(context.namespace, given.pod.removeprefix("pod/"))
    return {"apiVersion": "v1", "kind": "Pod", **found}


def _workloads(values: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, dict):
            found += _workloads(value["items"]) if is_list(value) else [value]
    return found


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = arguments().parse_args(argv)
    try:
        if given.command == "inject":
            return run_inject(given, Console(stderr=True, width=WIDTH))
        if given.command == "uninject":
            return run_uninject(given)
        if given.command == "status":
            return run_status(given, Console(width=WIDTH))
        if given.command == "check":
            return run_check(given, Console(width=WIDTH))
        return run_why(given, Console(width=WIDTH))
    except BadInput as error:
        sys.stderr.write(f"carrierctl: {error}\n")
        return BAD_INPUT
    except BadPod as error:
        sys.stderr.write(f"carrierctl: not a pod: {error}\n")
        return BAD_INPUT
    except ClusterTrouble as error:
        sys.stderr.write(f"carrierctl: the cluster can't be asked: {error}\n")
        return NO_CLUSTER
    except BrokenPipeError:
        sys.stderr.close()
        return DONE


if __name__ == "__main__":
    sys.exit(main())

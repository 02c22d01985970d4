"""carrierctl from arguments to output and exit code, without a cluster."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrier_operator.ctl import documents
from carrier_operator.ctl.__main__ import main

BINDING = """\
apiVersion: carrier.dev/v1alpha1
kind: CarrierBinding
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: worker}}
  queue: {name: orders, region: us-west-2}
  webhook: {port: http}
"""
MANIFEST = """\
# The service comes first.
apiVersion: v1
kind: Service
metadata: {name: worker}   # kept as it is
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, namespace: shop}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata:
      labels: {app: worker, commit: "1e3", "on": "on"}
    spec:
      containers:
        - name: app
          image: app:1
          ports: [{name: http, containerPort: 8080}]
          args: ["22:22", '2001-01-01', "0o17", "line one\\nline two"]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: shop}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: other}}
        spec: {restartPolicy: Never, containers: [{name: app, image: app:1}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "binding.yaml").write_text(BINDING)
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def inject(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    return run(capsys, "inject", "-f", str(folder / "manifest.yaml"), "-b", str(folder / "binding.yaml"), *more)


def test_workloads_get_sidecars_and_the_rest_stays_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = inject(folder, capsys)
    assert code == 0
    assert out.startswith("# The service comes first.\n")
    assert "# kept as it is" in out
    service, deployment, job = yaml.safe_load_all(out)
    assert service["kind"] == "Service"
    template = deployment["spec"]["template"]
    assert template["spec"]["initContainers"][0]["name"] == "carrier-orders"
    assert template["metadata"]["labels"] == {"app": "worker", "commit": "1e3", "on": "on"}
    assert template["spec"]["containers"][0]["args"] == ["22:22", "2001-01-01", "0o17", "line one\nline two"]
    assert "initContainers" not in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "Deployment/worker: carrier-orders" in err


def test_numbers_to_other_readers_stay_quoted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = inject(folder, capsys)
    assert "commit: '1e3'" in out
    assert "- '0o17'" in out


def test_a_second_run_prints_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, once, _ = inject(folder, capsys)
    _, twice, _ = inject(folder, capsys)
    assert once == twice
    (folder / "manifest.yaml").write_text(once)
    _, again, _ = inject(folder, capsys)
    assert again == once


def test_uninject_gives_the_manifest_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = inject(folder, capsys)
    (folder / "injected.yaml").write_text(out)
    code, back, _ = run(capsys, "uninject", "-f", str(folder / "injected.yaml"))
    assert code == 0
    assert list(yaml.safe_load_all(back)) == list(yaml.safe_load_all(MANIFEST))


def test_standard_input_and_bindings_among_the_manifests(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{BINDING}---\n{MANIFEST}"))
    code, out, _ = run(capsys, "inject", "-f", "-", "-o", "json")
    items = json.loads(out)["items"]
    assert code == 0
    assert [it["kind"] for it in items] == ["CarrierBinding", "Service", "Deployment", "CronJob"]
    assert items[2]["spec"]["template"]["spec"]["initContainers"]


def test_lists_keep_their_order(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    items = [yaml.safe_load(BINDING), *yaml.safe_load_all(MANIFEST)]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"apiVersion": "v1", "kind": "List", "items": items})))
    _, out, _ = run(capsys, "inject", "-f", "-")
    found = yaml.safe_load(out)
    assert [it["kind"] for it in found["items"]] == ["CarrierBinding", "Service", "Deployment", "CronJob"]
    assert found["items"][2]["spec"]["template"]["spec"]["initContainers"]


def test_a_job_is_left_out_where_sidecars_are_not_native(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = (
        (folder / "manifest.yaml")
        .read_text()
        .replace("{app: other}", "{app: worker}")
        .replace("restartPolicy: Never, ", "")
    )
    (folder / "manifest.yaml").write_text(manifest)
    port_by_number = BINDING.replace("port: http", "port: 8080")
    (folder / "binding.yaml").write_text(port_by_number)
    code, out, err = inject(folder, capsys, "--native", "false", "--strict")
    assert code == 1
    assert "never complete" in err
    _, deployment, job = yaml.safe_load_all(out)
    assert [it["name"] for it in deployment["spec"]["template"]["spec"]["containers"]] == ["app", "carrier-orders"]
    assert len(job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]) == 1
    assert inject(folder, capsys, "--native", "false")[0] == 0


def test_a_folder_of_bindings_and_another_image(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bindings").mkdir()
    (folder / "binding.yaml").rename(folder / "bindings" / "orders.yml")
    code, out, _ = run(
        capsys,
        "inject",
        "-f",
        str(folder / "manifest.yaml"),
        "-b",
        str(folder / "bindings"),
        "--sidecar-image",
        "mine:2",
    )
    assert code == 0
    assert "image: mine:2" in out


@pytest.mark.parametrize(
    ("name", "text"),
    [("bad.yaml", "a: [\n"), ("bad.yaml", "apiVersion: apps/v1\nkind: Deployment\nspec: {}\n"), ("missing.yaml", None)],
)
def test_input_that_can_not_be_used_is_exit_2(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None
) -> None:
    if text is not None:
        (folder / name).write_text(text)
    code, out, err = run(capsys, "inject", "-f", str(folder / name), "-b", str(folder / "binding.yaml"))
    assert (code, out) == (2, "")
    assert err.startswith("carrierctl: ")


def test_without_any_binding_it_says_where_they_may_come_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "inject", "-f", str(folder / "manifest.yaml"))
    assert code == 2
    assert "--bindings" in err


def test_a_cluster_that_is_not_there_is_exit_3(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, "why", "some-pod", "--kubeconfig", str(folder / "none"))
    assert code == 3
    assert "can't be asked" in err


def why(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    return run(capsys, "why", "-f", str(folder / "manifest.yaml"), "-b", str(folder / "binding.yaml"), *more)


def test_why_says_the_row_and_each_label(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = why(folder, capsys)
    assert code == 1  # the CronJob gets none
    assert "Deployment/worker in shop gets carrier-orders" in out
    assert "row selected" in out
    assert "CronJob/nightly in shop gets no sidecar" in out
    assert "app=worker" in out
    assert "'other'" in out


def test_why_for_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = why(folder, capsys, "-o", "json")
    deployment, job = json.loads(out)
    assert (deployment["row"]["name"], deployment["sidecars"]) == ("selected", ["orders"])
    assert job["bindings"][0]["selector"] == [{"requirement": "app=worker", "satisfied": False, "found": "other"}]
    assert job["skipped"][0]["reason"] == "NothingAsksForIt"


def test_why_shows_a_binding_that_is_not_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "binding.yaml").write_text(BINDING.replace("region: us-west-2", ""))
    code, out, _ = why(folder, capsys)
    assert code == 1
    assert "not accepted" in out


def test_why_wants_a_pod_or_a_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "why")[0] == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("2001-01-01", "2001-01-01"),
        ("0644", 420),
        ("1.5", 1.5),
        ("yes", True),
        ("0x10", 16),
        ("1_0", 10),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: Any) -> None:
    (found,) = documents.parse(f"a: {text}\n", "x")
    assert found.value == {"a": value}
    assert type(found.value["a"]) is type(value)


def test_documents_are_split_where_yaml_splits_them() -> None:
    text = "---\na: 1\n--- # comment\nb: |\n  x\n  ---\n  y\n---\n---\nc: '---'\n"
    assert [it.value for it in documents.parse(text, "x")] == [{"a": 1}, {"b": "x\n---\ny\n"}, {"c": "---"}]

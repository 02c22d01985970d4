"""What `carrier-sidecar check` found, for people or as JSON, and the IAM statements that grant the rest. Pure."""

from __future__ import annotations

import json

from carrier_sidecar.url import parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OK = "ok"
WARN = "warn"  # works, but not as well as it could
FAIL = "FAIL"
SKIP = "skip"  # not tried, and why


class Finding:
    """One check: `name`, `status` (above), `text` (what was found), `remedy` (what to do, "" for nothing)."""

    __slots__ = ("name", "remedy", "status", "text")

    def __init__(self, name: str, status: str, text: str, remedy: str = "") -> None:
        self.name = name
        self.status = status
        self.text = text
        self.remedy = remedy


class Grants:
    """Actions that were refused, and the queue and key they are needed on."""

    __slots__ = ("actions", "kms_key", "queue_arn")

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.queue_arn = ""
        self.kms_key = ""

    def add(self, action: str) -> None:
        """That action was refused."""
        if action not in self.actions:
            self.actions.append(action)

    def statements(self) -> list[dict[str, object]]:
        """IAM policy statements; [] when nothing is missing."""
        found: list[dict[str, object]] = []
        for service, resource in (("sqs:", self.queue_arn or "<the queue's ARN>"), ("kms:", self._key_arn())):
            actions = [action for action in self.actions if action.startswith(service)]
            if actions:
                found.append({"Effect": "Allow", "Action": actions, "Resource": resource})
        return found

    def _key_arn(self) -> str:
        return self.kms_key if self.kms_key.startswith("arn:") else "<the ARN of the queue's KMS key>"


def queue_arn(queue_url: str, region: str) -> str:
    """The ARN of a queue whose URL is AWS's (https://sqs.<region>.…/<account>/<name>); "" for others."""
    try:
        parts = parse_url(queue_url).path.strip("/").split("/")
    except ValueError:
        return ""
    if len(parts) != 2 or len(parts[0]) != 12 or not parts[0].isdigit() or not region:
        return ""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:sqs:{region}:{parts[0]}:{parts[1]}"


def succeeded(findings: Sequence[Finding]) -> bool:
    """Whether the sidecar can do its work."""
    return not any(finding.status == FAIL for finding in findings)


def render_text(findings: Sequence[Finding], grants: Grants) -> str:
    """A line per check, remedies below it, and a verdict."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:4}  {finding.name:{width}}  {finding.text}")
        if finding.remedy:
            lines.append(f"{'':4}  {'':{width}}  → {finding.remedy}")
    statements = grants.statements()
    if statements:
        lines += ["", "To grant, as statements of the policy of the identity above:", ""]
        lines += json.dumps(statements, indent=2, ensure_ascii=False).splitlines()
    lines.append("")
    failed = dict.fromkeys(finding.name for finding in findings if finding.status == FAIL)
    lines.append(f"Not ready: {', '.join(failed)} failed." if failed else "Ready: messages can flow.")
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode() + "\n"


def render_json(findings: Sequence[Finding], grants: Grants) -> str:
    """The same for machines."""
    checks = [
        {"name": finding.name, "status": finding.status.lower(), "text": finding.text, "remedy": finding.remedy}
        for finding in findings
    ]
    page = {"ok": succeeded(findings), "checks": checks, "grant": grants.statements()}
    return json.dumps(page, indent=2) + "\n"

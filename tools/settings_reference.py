"""docs/settings.md, made from the sidecar's settings table."""

from collections.abc import Sequence

from carrier_sidecar.settings_page import SECTIONS, section
from carrier_sidecar.settings_table import ROWS, Row
from carrier_sidecar.settings_values import describe_allowed

_HEAD = ("Variable", "Default", "Allowed", "Go", "What it does")
_INTRO = """\
<!-- Made from the settings table by `make docs`: change sidecar/carrier_sidecar/settings_table.py instead. -->
# Settings

The sidecar is configured by environment variables. `carrier-sidecar settings` prints them with the values in force and
where each comes from, and says what is wrong with them; `carrier-sidecar check` tries them out.

- **Durations** are written as Go does: `90s`, `1m30s`, `250ms`, `1h2m3.5s`.
- **Booleans** are `true` or `false`; `1`, `t`, `T`, `TRUE`, `True` and their opposites are taken as well.
- **Whole numbers** may have a base prefix (`0x10`, `0b11`, `0o17`) and underscores (`1_000`). Like in Go, a leading 0
  makes them octal.
- **Set but empty** means empty for text, URLs, addresses and lists, and is an error for everything else.
- **A bad value** stops the sidecar with exit code 2. All bad variables are reported at once.
- **An unknown `CARRIER_` variable** is a warning, with the name that was probably meant. What Kubernetes sets for
  Services called carrier or carrier-* causes none.

In the column *Go*, ✓ says that the Go program Carrier has the variable, too, with the same meaning and default.
"""

_FALLBACKS = """\
## Names without the prefix

As in the Go program, some variables may be written without `CARRIER_`. They are read when the prefixed one is not set,
and cause a warning: {names}.
"""

# What else the process reads, by whom it is defined.
# fmt: off
_OTHERS = (
    (
        "AWS credentials and region",
        "Sources are tried in the order of this table; the first that gives credentials is used. One that is set up\n"
        "and fails ends the search: to go on as somebody else would hide the fault. Profiles, single sign-on and\n"
        "credential_process need the optional dependency botocore.",
        (
            (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
              "AWS_CREDENTIAL_EXPIRATION"), "Static credentials."),
            (("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
             "Profiles, single sign-on, credential_process."),
            (("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"),
             "IAM roles for service accounts: AssumeRoleWithWebIdentity, the token read at each refresh."),
            (("AWS_STS_REGIONAL_ENDPOINTS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL",
              "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT"), "Where that call goes."),
            (("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
              "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
             "EKS Pod Identity and ECS task roles."),
            (("AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
              "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_METADATA_SERVICE_TIMEOUT",
              "AWS_METADATA_SERVICE_NUM_ATTEMPTS"),
             "The instance's role (IMDSv2); `true` in the first switches it off."),
            (("AWS_REGION", "AWS_DEFAULT_REGION"),
             "The region, when CARRIER_SQS_REGION is empty and the endpoint's host does not tell it."),
        ),
    ),
    (
        "Certificates and proxies",
        "They concern calls to AWS. Calls to the handler use no proxy.",
        (
            (("AWS_CA_BUNDLE",), "File with the certificate authorities that are trusted, instead of the system's."),
            (("SSL_CERT_FILE",), "The same, where AWS_CA_BUNDLE is not set."),
            (("SSL_CERT_DIR",), "Folder of such certificates under their hashes, beside that file, as for OpenSSL."),
            (("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"), "Proxy towards SQS, by the scheme; also in lower case."),
        ),
    ),
)
# fmt: on


def render() -> str:
    """The whole page."""
    parts = [_INTRO]
    for title, _ in SECTIONS:
        rows = [row for row in ROWS if section(row) == title]
        parts.append(f"## {title}\n\n" + _table(_HEAD, [_cells(row) for row in rows]))
    names = ", ".join(f"`{row.fallback}`" for row in ROWS if row.fallback)
    parts.append(_FALLBACKS.format(names=names))
    for title, intro, rows_of_others in _OTHERS:
        cells = [(", ".join(f"`{name}`" for name in names), what) for names, what in rows_of_others]
        parts.append(f"## {title}\n\n{intro}\n\n" + _table(("Variable", "What it does"), cells))
    return "\n".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    default = "required" if row.default is None else f"`{row.default}`" if row.default else "empty"
    what = row.what + (" Never shown." if row.secret else "")
    return (f"`{row.name}`", default, describe_allowed(row), "✓" if row.go else "", what)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(_escaped(cell) for cell in line) + " |\n" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;").replace(" *", " \\*")

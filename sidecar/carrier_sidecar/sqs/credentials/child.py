"""Run as a program of its own: resolves the profile's credentials through botocore and prints them as JSON.

Not imported by the sidecar and importing nothing of it. Environment keys, container and instance credentials are left
out: the sidecar asks for those itself, without botocore.
"""

from __future__ import annotations

import json
import sys

OTHERS_BUSINESS = ("env", "container-role", "iam-role")


def resolve() -> dict[str, str | None]:
    """The answer to print: credentials, or `error` with a sentence for people."""
    try:
        import botocore.exceptions
        import botocore.session
    except ImportError:
        return {
            "error": "profiles need botocore, which is not installed: pip install 'carrier[profiles]'",
            "missing": "botocore",
        }
    try:
        session = botocore.session.Session()
        resolver = session.get_component("credential_provider")
        for name in OTHERS_BUSINESS:
            resolver.remove(name)
        credentials = resolver.load_credentials()
        if credentials is None:
            return {"error": "botocore found no credentials in it"}
        frozen = credentials.get_frozen_credentials()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return {"error": " ".join(str(error).split())}
    expiry = getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
    return {
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
        "Token": frozen.token,
        "Expiration": expiry.isoformat() if expiry is not None else None,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(resolve()))

"""A document that describes no run -> an error that says what it is, and what to print instead."""

import re

from chainloop_smtp.attestation.fields import Node, shown
from chainloop_smtp.errors import AttestationError

_WANTED = (
    "Hand over what `chainloop attestation push -o json` printed, "
    "or `chainloop workflow run describe --id RUN-ID -o json`."
)


def refusal(node: Node) -> AttestationError:
    """What this document is, as far as its keys tell."""
    if isinstance(node.value, list):
        return _list(node)
    for keys, sentence in _OBJECTS:
        if node.has(*keys):
            return node.error(f"this is {sentence}", _hint(node))
    if node.has("evaluations"):
        return node.error(
            "these are policy evaluations without the attestation that they belong to",
            "Give them as `policy-evaluations`, beside `attestation`.",
        )
    names = list(node.value) if isinstance(node.value, dict) else []
    if not names:
        return node.error("this is an empty object, not an attestation", _WANTED)
    told = ", ".join(shown(name, 30) for name in sorted(names)[:5])
    more = ", ..." if len(names) > 5 else ""
    return node.error(
        f"this is no document of Chainloop's that describes a run; it has the keys {told}{more}",
        _WANTED,
    )


def webhook(node: Node, kind: str) -> AttestationError:
    """A body of Chainloop's webhook plugin that carries something else than an attestation."""
    if kind == "TEST_WEBHOOK":
        what = "the test that Chainloop's webhook plugin posts when it is registered"
    else:
        what = f"the body of Chainloop's webhook plugin for {shown(kind)}, a material"
    return node.get("Kind").error(f"this is {what}, not an attestation", _WANTED)


def _list(node: Node) -> AttestationError:
    first = next(node.items(), None)
    if first is None:
        return node.error("this is an empty list, not an attestation", _WANTED)
    for keys, sentence in _LISTS:
        if first.has(*keys):
            return node.error(f"this is {sentence}", _hint(first))
    return node.error("this is a list, not an attestation", _WANTED)


def _hint(node: Node) -> str:
    """The command with the run's own id, where this is a run."""
    if node.has("contractRevisionUsed", "id") and _UUID.fullmatch(str(node.get("id").value)):
        return f"`chainloop workflow run describe --id {node.text('id')} -o json` prints all of it."
    return _WANTED


_UUID = re.compile(r"[0-9A-Fa-f-]{36}")

_LISTS = (
    (
        ("contractRevisionUsed",),
        "a list of workflow runs (`workflow run list`), which says nothing of what was attested",
    ),
    (
        ("Set", "Required"),
        "a list of materials (`attestation add`), without the run that they belong to",
    ),
    (("integration", "workflow"), "a list of attached integrations, not an attestation"),
    (("kind", "config"), "a list of registered integrations, not an attestation"),
    (("registration", "attachment"), "a list of available integrations, not an attestation"),
)

_OBJECTS = (
    (("Set", "Required"), "one material (`attestation add`), without the run that it belongs to"),
    (("contractRevisionUsed", "state"), "a workflow run without its attestation"),
    (("integration", "workflow"), "an attached integration, not an attestation"),
    (("kind", "config"), "a registered integration, not an attestation"),
    (("inputSchema",), "the state that the command keeps until the push, not an attestation"),
    (("bomFormat",), "a CycloneDX SBOM: a material, not an attestation"),
    (("spdxVersion",), "an SPDX SBOM: a material, not an attestation"),
    (("runs", "version"), "a SARIF report: a material, not an attestation"),
    (("messageSignature",), "a Sigstore bundle around a plain signature, not an attestation"),
    (("signed", "signatures"), "an in-toto link or TUF metadata, not a Chainloop attestation"),
    (("builder", "buildType"), "SLSA provenance: not a Chainloop attestation"),
    (("buildDefinition", "runDetails"), "SLSA provenance: not a Chainloop attestation"),
    (("_type",), "an in-toto statement without a predicate: it says nothing about a run"),
)

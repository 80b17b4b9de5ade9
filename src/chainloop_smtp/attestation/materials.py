"""Materials in each of Chainloop's dialects -> Material."""

from collections.abc import Iterable

from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import Annotation, Material

_INTERNAL = "chainloop."
_NAME = "chainloop.material.name"
_TYPE = "chainloop.material.type"
_TAG = "chainloop.material.image.tag"
_UPLOADED = "chainloop.material.cas"


def read_listed(node: Node) -> tuple[tuple[Material, ...], int]:
    """Read the array of ``attestation push`` or ``workflow run describe``, in its order.

    Sources: AttestationStatusMaterial and Material of Chainloop's command.

    Returns:
        The materials, and the number of entries without a name, which cannot be read.
    """
    materials = [_read_listed(material) for material in node.items()]
    named = tuple(material for material in materials if material.name)
    return named, len(materials) - len(named)


def sort_by_contract(materials: tuple[Material, ...]) -> tuple[Material, ...]:
    """Sort the materials of a status: the contract's come first and keep its order.

    Those after the last one that only a contract can declare come out of a Go map, in an order
    that changes from one run of the command to the next.
    """
    end = max(
        (
            index + 1
            for index, material in enumerate(materials)
            if material.is_required or material.group or not material.is_set
        ),
        default=0,
    )
    return materials[:end] + sort_by_name(materials[end:])


def sort_by_name(materials: Iterable[Material]) -> tuple[Material, ...]:
    """Sort for display; names are not unique in old attestations."""
    return tuple(sorted(materials, key=lambda one: (one.name, one.value, one.digest)))


def read_attested(predicate: Node, subjects: Node) -> tuple[tuple[Material, ...], int]:
    """Read the materials of a predicate, v0.1 or v0.2.

    Args:
        subjects: The statement's; they list the output materials that have a digest.

    Returns:
        The materials, sorted by name, and the number of entries that could not be read.
    """
    outputs = None
    if subjects.is_present:
        outputs = {
            (subject.text("name"), _read_sha256(subject.get("digest")))
            for subject in subjects.items()
        }
    entries = [
        _read_v0_1(entry, outputs)
        if entry.get("material").is_present
        else _read_v0_2(entry, outputs)
        for entry in predicate.items("materials")
    ]
    materials = [material for material in entries if material is not None]
    return sort_by_name(materials), len(entries) - len(materials)


def read_annotations(node: Node, *, hidden: str | None = None) -> tuple[Annotation, ...]:
    """Read annotations, an array of names and values or an object; sorted by name.

    Args:
        hidden: Prefix of the names to leave out.
    """
    if isinstance(node.value, dict):
        entries = list(node.entries())
    else:
        entries = [(entry.text("name"), entry.get("value")) for entry in node.items()]
    annotations = [
        Annotation(name=name, value=value.scalar())
        for name, value in entries
        if hidden is None or not name.startswith(hidden)
    ]
    return tuple(sorted(annotations, key=lambda one: (one.name, one.value)))


def _read_listed(node: Node) -> Material:
    is_uploaded = node.flag("uploadedToCAS")
    return Material(
        name=node.text("name"),
        type=node.text("type"),
        value=node.text("value") or node.text("filename"),
        tag=node.text("tag"),
        digest=node.text("hash"),
        annotations=read_annotations(node.get("annotations"), hidden=_INTERNAL),
        is_set=node.flag("Set") is not False,
        is_output=node.flag("IsOutput"),
        is_required=node.flag("Required"),
        group=node.text("group"),
        # The description of a run leaves the field out when it is false; a status always does.
        is_uploaded=is_uploaded if node.has("Set") else bool(is_uploaded),
    )


def _read_v0_1(node: Node, outputs: set[tuple[str, str]] | None) -> Material | None:
    """Read ProvenanceMaterial of the predicate's first version: a string or a SLSA material."""
    name, kind = node.text("name"), node.text("type")
    holder = node.get("material")
    descriptor = holder.get("slsa")
    value = holder.text("stringVal") or descriptor.text("uri")
    digest = _read_sha256(descriptor.get("digest"))
    if not name or not kind or not (digest or kind == "STRING"):
        return None
    return Material(
        name=name,
        type=kind,
        value=value,
        digest=digest,
        is_output=_is_output(value, digest, outputs),
    )


def _read_v0_2(node: Node, outputs: set[tuple[str, str]] | None) -> Material | None:
    """Read an in-toto resource descriptor, which Chainloop's annotations describe."""
    annotations = node.get("annotations")
    name, kind = annotations.text(_NAME), annotations.text(_TYPE)
    resource = node.text("name")
    digest = _read_sha256(node.get("digest"))
    if not name or not kind or not (kind == "STRING" or (resource and digest)):
        return None
    value = resource
    if kind == "STRING":
        try:
            value = node.base64("content").decode()
        except UnicodeDecodeError:
            value = ""
    return Material(
        name=name,
        type=kind,
        value=value,
        tag=annotations.scalar(_TAG),
        digest=digest,
        annotations=read_annotations(annotations, hidden=_INTERNAL),
        is_output=_is_output(resource, digest, outputs),
        is_uploaded=annotations.scalar(_UPLOADED) == "true",
    )


def _read_sha256(digests: Node) -> str:
    value = digests.text("sha256")
    return f"sha256:{value}" if value else ""


def _is_output(resource: str, digest: str, outputs: set[tuple[str, str]] | None) -> bool | None:
    """The statement's subjects list every output that has a digest, and no other outputs."""
    if outputs is None or not digest:
        return None
    return (resource, digest) in outputs

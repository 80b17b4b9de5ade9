"""Materials in each of Chainloop's dialects -> Material."""

from collections.abc import Iterable

from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import Annotation, Material

_INTERNAL = "chainloop."
_NAME = "chainloop.material.name"
_TYPE = "chainloop.material.type"
_TAG = "chainloop.material.image.tag"
_UPLOADED = "chainloop.material.cas"


def read_listed(node: Node) -> tuple[Material, ...]:
    """The array of ``attestation push`` or ``workflow run describe``, in its order.

    Sources: AttestationStatusMaterial and Material of Chainloop's command.
    """
    return tuple(_listed(material) for material in node.items())


def in_contract_order(materials: tuple[Material, ...]) -> tuple[Material, ...]:
    """Materials of a status, where the contract's come first, in its order.

    What stands behind the last one that only a contract can know of comes out of a Go map, in
    an order that changes from one run of the command to the next.
    """
    end = max(
        (
            index + 1
            for index, material in enumerate(materials)
            if material.is_required or material.group or not material.is_set
        ),
        default=0,
    )
    return materials[:end] + by_name(materials[end:])


def by_name(materials: Iterable[Material]) -> tuple[Material, ...]:
    """Sorted for showing; names are not unique in old attestations."""
    return tuple(sorted(materials, key=lambda one: (one.name, one.value, one.digest)))


def read_attested(predicate: Node, subjects: Node) -> tuple[tuple[Material, ...], int]:
    """Materials of a predicate, v0.1 or v0.2, sorted by name, and how many could not be read.

    Args:
        subjects: The statement's; they list the output materials that have a digest.
    """
    outputs = {
        (subject.text("name"), _sha256(subject.get("digest"))) for subject in subjects.items()
    }
    found: list[Material] = []
    bad_count = 0
    for entry in predicate.items("materials"):
        read = _v0_1 if entry.get("material").is_said else _v0_2
        material = read(entry, outputs if subjects.is_said else None)
        if material is None:
            bad_count += 1
        else:
            found.append(material)
    return by_name(found), bad_count


def annotations_of(node: Node, *, hidden: str | None = None) -> tuple[Annotation, ...]:
    """Annotations as an array of names and values, or as an object; sorted by name.

    Args:
        hidden: What the names of those begin with that are passed over.
    """
    if isinstance(node.value, dict):
        named = list(node.entries())
    else:
        named = [(entry.text("name"), entry.get("value")) for entry in node.items()]
    return tuple(
        sorted(
            (
                Annotation(name=name, value=value.plain())
                for name, value in named
                if hidden is None or not name.startswith(hidden)
            ),
            key=lambda one: (one.name, one.value),
        )
    )


def _listed(node: Node) -> Material:
    kind = node.text("type")
    is_status = node.has("Set")
    is_uploaded = node.flag("uploadedToCAS")
    return Material(
        name=node.text("name"),
        type=kind,
        value=node.text("value") or node.text("filename"),
        tag=node.text("tag"),
        digest=node.text("hash"),
        annotations=annotations_of(node.get("annotations"), hidden=_INTERNAL),
        is_set=node.flag("Set") is not False,
        is_output=node.flag("IsOutput"),
        is_required=node.flag("Required"),
        group=node.text("group"),
        # The description of a run leaves the field out when it is false; a status always does.
        is_uploaded=is_uploaded if is_status else bool(is_uploaded),
    )


def _v0_1(node: Node, outputs: set[tuple[str, str]] | None) -> Material | None:
    """ProvenanceMaterial of the predicate's first version: a string or a SLSA material."""
    name, kind = node.text("name"), node.text("type")
    holder = node.get("material")
    descriptor = holder.get("slsa")
    value = holder.text("stringVal") or descriptor.text("uri")
    digest = _sha256(descriptor.get("digest"))
    if not name or not kind or not (digest or kind == "STRING"):
        return None
    return Material(
        name=name,
        type=kind,
        value=value,
        digest=digest,
        is_output=_is_output(value, digest, outputs),
    )


def _v0_2(node: Node, outputs: set[tuple[str, str]] | None) -> Material | None:
    """An in-toto resource descriptor, whose annotations say what Chainloop makes of it."""
    annotations = node.get("annotations")
    name, kind = annotations.text(_NAME), annotations.text(_TYPE)
    resource = node.text("name")
    digest = _sha256(node.get("digest"))
    if not name or not kind or not (kind == "STRING" or (resource and digest)):
        return None
    value = resource
    if kind == "STRING":
        try:
            value = node.octets("content").decode()
        except UnicodeDecodeError:
            value = ""
    return Material(
        name=name,
        type=kind,
        value=value,
        tag=annotations.plain(_TAG),
        digest=digest,
        annotations=annotations_of(annotations, hidden=_INTERNAL),
        is_output=_is_output(resource, digest, outputs),
        is_uploaded=annotations.plain(_UPLOADED) == "true",
    )


def _sha256(digests: Node) -> str:
    value = digests.text("sha256")
    return f"sha256:{value}" if value else ""


def _is_output(resource: str, digest: str, outputs: set[tuple[str, str]] | None) -> bool | None:
    """The statement's subjects list every output that has a digest, and say nothing of others."""
    if outputs is None or not digest:
        return None
    return (resource, digest) in outputs

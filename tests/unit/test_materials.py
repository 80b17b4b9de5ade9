"""What an attestation says of its materials."""

from typing import Any

import builders
from chainloop_smtp import attestation
from chainloop_smtp.model.attested import Annotation, Attestation


def read(document: object) -> Attestation:
    return attestation.parse(builders.encoded(document))


def test_materials_of_a_statement_are_told_by_their_annotations() -> None:
    image, note, sbom = read(builders.statement()).materials

    assert (image.name, image.type, image.tag) == ("image", "CONTAINER_IMAGE", "v2.3.0")
    assert image.value == "ghcr.io/lakeside/harbour"
    assert image.digest.startswith("sha256:")
    assert image.annotations == ()
    assert image.is_output is True
    assert (note.value, note.digest, note.is_output, note.is_uploaded) == (
        "built at the pier",
        "",
        None,
        False,
    )
    assert sbom.annotations == (Annotation(name="team", value="quay"),)
    assert (sbom.is_output, sbom.is_uploaded, sbom.is_required) == (False, True, None)


def test_materials_of_a_predicate_alone_may_be_outputs() -> None:
    told = read(builders.statement()["predicate"])

    assert [one.is_output for one in told.materials] == [None, None, None]


def test_values_of_annotations_may_be_booleans_and_numbers() -> None:
    material = builders.material("x", annotations={"b": True, "f": 7.0, "g": 0.25, "i": 3})

    (told,) = read(builders.statement(materials=[material])).materials

    assert [one.value for one in told.annotations] == ["true", "7", "0.25", "3"]


def test_materials_that_nobody_can_read_are_counted() -> None:
    nameless = builders.material("x")
    del nameless["annotations"]["chainloop.material.name"]
    undigested = builders.material("y") | {"digest": {"sha512": "ab"}}
    old = {"name": "z", "type": "ARTIFACT", "material": {"slsa": {"uri": "z.tgz"}}}
    typeless = {"name": "z", "material": {"stringVal": "z"}}
    materials = [nameless, undigested]
    statement = builders.statement(materials=[])
    statement["predicate"]["materials"] = [*materials, old, typeless]

    told = read(statement)

    assert told.materials == ()
    assert told.bad_material_count == 4


def test_a_string_that_is_not_utf_8_has_no_value() -> None:
    material = builders.material("x", "STRING") | {"content": "/w=="}

    (told,) = read(builders.statement(materials=[material])).materials

    assert told.value == ""


def test_materials_of_the_first_predicate_are_read() -> None:
    statement = builders.statement(
        materials=[],
        predicate={
            "materials": [
                {"name": "ref", "type": "STRING", "material": {"stringVal": "abc"}},
                {
                    "name": "app",
                    "type": "CONTAINER_IMAGE",
                    "material": {"slsa": {"uri": "reg.example/app", "digest": {"sha256": "cd"}}},
                },
            ]
        },
    )
    statement["predicateType"] = "chainloop.dev/attestation/v0.1"
    statement["subject"].append({"name": "reg.example/app", "digest": {"sha256": "cd"}})

    app, ref = read(statement).materials

    assert (app.value, app.digest, app.is_output) == ("reg.example/app", "sha256:cd", True)
    assert (ref.value, ref.digest, ref.is_output) == ("abc", "", None)


def test_a_status_keeps_the_contracts_order_and_sorts_what_came_on_top() -> None:
    document = builders.cli_push(builders.statement(materials=[]))

    def listed(name: str, **said: Any) -> builders.JSON:
        return builders.unset_material(name) | {"Required": False, "Set": True} | said

    document["materials"] = [
        listed("z", Required=True),
        listed("y"),
        listed("x", group="tests"),
        listed("m"),
        listed("c"),
    ]

    told = read(document).materials

    assert [one.name for one in told] == ["z", "y", "x", "c", "m"]
    assert [one.is_required for one in told][:2] == [True, False]
    assert told[2].group == "tests"
    assert told[0].is_uploaded is None


def test_materials_that_the_contract_wants_are_listed_unset() -> None:
    unset = builders.unset_material("junit") | {
        "annotations": [{"name": "owner", "value": ""}, {"name": "chainloop.x", "value": "y"}]
    }

    told = read(builders.cli_push(builders.statement(), unset=[unset])).materials[-1]

    assert (told.name, told.is_set, told.is_required) == ("junit", False, True)
    assert told.annotations == (Annotation(name="owner", value=""),)

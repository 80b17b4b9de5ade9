"""Text of Chainloop's ``.chainloop.yml`` -> the project and version that it names."""

from chainloop_smtp.options.configuration.document import Scalar, Table, compose


def parse_names(text: str, path: str) -> tuple[str, str]:
    """Return ``projectName`` and ``projectVersion``; empty where they are not given.

    Raises:
        OptionsError: It is not valid YAML.
    """
    root = compose(text, path)
    names = {
        key.text: (value.text or "").strip()
        for key, value in (root.entries if isinstance(root, Table) else ())
        if isinstance(value, Scalar)
    }
    return names.get("projectName", ""), names.get("projectVersion", "")

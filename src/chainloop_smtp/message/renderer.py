"""Templates and facts -> text. A user's template takes the place of the built-in one.

Built-in templates are rendered in this process, the user's in a child (`child`).
"""

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from chainloop_smtp.errors import MessageError
from chainloop_smtp.message.sandbox import BUILT_IN, SUBJECT
from chainloop_smtp.message.templates import built_in_environment
from chainloop_smtp.model.mail import Templates

if TYPE_CHECKING:
    from chainloop_smtp.message.child import Child


def check(own: Templates) -> None:
    """Checks the user's templates, as far as that is possible without a run.

    Raises:
        MessageError: With every problem found.
    """
    names = [each.name for each in own.files] + [SUBJECT] * bool(own.subject)
    if not names and not own.folder:
        return
    from chainloop_smtp.message.child import Child

    with closing(Child(own)) as child:
        problems = [each for name in names for each in child.inspect(name)]
        if problems := problems or child.inspect(""):
            raise MessageError(*problems)


class Renderer:
    """Renders the user's template where there is one with the name, else the built-in one.

    A context manager: leaving it ends the child process that renders the user's templates.

    Attributes:
        own: The user's.
    """

    def __init__(self, own: Templates) -> None:
        self.own = own
        self._names = {each.name for each in own.files}
        self._child: Child | None = None

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.close()

    def render(self, name: str, facts: Mapping[str, object]) -> str:
        """One template with the facts in it.

        Args:
            name: ``mail.html.j2``, ``mail.txt.j2``, ``subject.txt.j2`` or ``summary.md.j2``.

        Raises:
            TemplateError: It is the user's, and is broken or hits a limit.
        """
        if name == "subject.txt.j2" and self.own.subject:
            name = SUBJECT
        elif name not in self._names:
            return built_in_environment().get_template(BUILT_IN + name).render(facts)
        if self._child is None:
            # Imported here: most users have no templates, and pay nothing.
            from chainloop_smtp.message.child import Child

            self._child = Child(self.own)
        return self._child.render(name, facts)

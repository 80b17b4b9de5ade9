"""The run before this one, as far as somebody has to know it."""

from chainloop_smtp import verdict
from chainloop_smtp.cli.story import Story
from chainloop_smtp.model import Job, Previous


def previous(story: Story) -> Previous:
    """What is known of the run before, by the attestation that the options name."""
    if story.changes is None:
        return Previous(source="there is no attestation of an earlier run to compare with")
    before = story.changes.previous
    return Previous(
        source="previous-attestation",
        outcome=verdict.judge(before, Job()).outcome,
        changes=story.changes,
    )

"""The nouns. Frozen values that the stages hand to each other; no behaviour beyond arithmetic.

Everything here is immutable. ``None`` means that the source does not say; an empty string or
tuple means that it says there is nothing. Datetimes are aware and in UTC.
"""

from chainloop_smtp.model.attestation import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Version,
    Violation,
    Workflow,
)
from chainloop_smtp.model.changes import (
    Breach,
    Changes,
    Replacement,
    Shift,
)
from chainloop_smtp.model.job import (
    Job,
    JobResult,
    JobStatus,
)
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    Refusal,
    Reply,
)
from chainloop_smtp.model.options import (
    Attachment,
    Auth,
    Composition,
    EnvValues,
    Evidence,
    Header,
    Mailbox,
    Options,
    Plugin,
    Registration,
    Require,
    Thread,
    Tls,
    Transport,
)
from chainloop_smtp.model.verdict import (
    Outcome,
    PolicyStatus,
    Verdict,
)

__all__ = [
    "Annotation",
    "Attachment",
    "Attestation",
    "Auth",
    "Breach",
    "Changes",
    "Commit",
    "Composition",
    "Delivery",
    "EnvValues",
    "Evaluation",
    "Evidence",
    "Finding",
    "FindingKind",
    "Header",
    "Job",
    "JobResult",
    "JobStatus",
    "Mail",
    "Mailbox",
    "Material",
    "Options",
    "Outcome",
    "Plugin",
    "Policies",
    "PolicyStatus",
    "Refusal",
    "Registration",
    "Replacement",
    "Reply",
    "Require",
    "Run",
    "RunState",
    "Runner",
    "Shift",
    "Signing",
    "Strategy",
    "Thread",
    "Tls",
    "Transport",
    "Verdict",
    "Version",
    "Violation",
    "Workflow",
]

"""A web server on loopback whose paths do what a test says."""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from serving import serving

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """A server whose paths do what the test says, and what was asked of it."""

    base: str
    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    credentials: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serve(context: ssl.SSLContext | None) -> Iterator[Site]:
    """Runs until it is closed; TLS where there is a context."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            served.asked.append(self.path)
            served.credentials.append(self.headers["Authorization"])
            served.headers.append({name.lower(): text for name, text in self.headers.items()})
            # The client may have left, which some of the tests are about.
            with suppress(OSError):
                served.answers[self.path.partition("?")[0]](self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    port = server.server_port
    served = Site(base=f"{'https' if context else 'http'}://127.0.0.1:{port}", port=port)
    with serving(server):
        yield served


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def github(
    site: Site,
    run_id: int,
    sha: str = "",
    *,
    branch: str = "main",
    conclusion: str = "success",
    commits: Sequence[object] = (),
) -> dict[str, str]:
    """Has it answer as GitHub's API of lakeside/harbour; gives the variable that leads there.

    Args:
        run_id: Of the second run of a workflow.
        sha: The commit of that run.
        conclusion: Of the first run, whose commit is ``a``.
        commits: What came between the two.
    """
    api = "/repos/lakeside/harbour"
    before = {"run_number": 1, "conclusion": conclusion, "head_sha": "a"}
    documents = {
        f"{api}/actions/runs/{run_id}": {
            "workflow_id": 1,
            "head_branch": branch,
            "run_number": 2,
        },
        f"{api}/actions/workflows/1/runs": {"workflow_runs": [before]},
        f"{api}/compare/a...{sha}": {"commits": commits},
    }
    site.answers |= {path: answer(json.dumps(each).encode()) for path, each in documents.items()}
    return {"GITHUB_API_URL": site.base}


def listed_job(
    name: str,
    *,
    id_: int = 1,
    steps: Sequence[tuple[str, str | None]] = (),
    conclusion: str | None = None,
    runner: str | None = None,
    server: str = "https://github.com",
) -> dict[str, object]:
    """A job as GitHub's API lists it; one without a conclusion is still running.

    Args:
        steps: Names and conclusions of those between "Set up job" and "Complete job".
    """
    at = "2026-03-12T09:40:05Z"
    repository, status = "lakeside/harbour", "completed" if conclusion else "in_progress"
    ends = [("Set up job", "success"), *steps]
    ends += [("Complete job", "success")] if conclusion else []
    return {
        "id": id_,
        "run_id": 100,
        "workflow_name": "Release",
        "head_branch": "main",
        "run_url": f"https://api.github.com/repos/{repository}/actions/runs/100",
        "run_attempt": 1,
        "node_id": "CR_kwDOKQ",
        "head_sha": "9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
        "url": f"https://api.github.com/repos/{repository}/actions/jobs/{id_}",
        "html_url": f"{server}/{repository}/actions/runs/100/job/{id_}",
        "status": status,
        "conclusion": conclusion,
        "created_at": at,
        "started_at": at,
        "completed_at": at if conclusion else None,
        "name": name,
        "steps": [
            {
                "name": step,
                "status": "completed" if end else "in_progress",
                "conclusion": end,
                "number": number,
                "started_at": at,
                "completed_at": at if end else None,
            }
            for number, (step, end) in enumerate(ends, 1)
        ],
        "check_run_url": f"https://api.github.com/repos/{repository}/check-runs/{id_}",
        "labels": ["ubuntu-24.04"],
        "runner_id": id_ if runner else None,
        "runner_name": runner,
        "runner_group_id": 0 if runner else None,
        "runner_group_name": "GitHub Actions" if runner else None,
    }


def listed_jobs(
    site: Site,
    *jobs: dict[str, object],
    run_id: int = 100,
    attempt: int = 1,
) -> dict[str, str]:
    """Has it list these jobs of a run; gives the variable that leads there."""
    path = f"/repos/lakeside/harbour/actions/runs/{run_id}/attempts/{attempt}/jobs"
    body = json.dumps({"total_count": len(jobs), "jobs": jobs}).encode()
    site.answers[path] = answer(body)
    return {"GITHUB_API_URL": site.base}

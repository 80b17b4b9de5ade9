"""Says where the dependencies of the Action are, and installs those that are missing.

A release carries what nearly every run needs, in the folder ``packages``. Elsewhere, and for what
only few runs need, pip fetches what a lock file names, once for each runner.

Run by ``prepare.sh`` as ``python -I -S -X utf8 bootstrap.py``, with whatever Python it found. The
standard library is all there is here. The usual run finds the folder that an earlier one made, so
whatever only an install needs is imported when it comes to that.

The syntax is that of Python 3.6: a Python that is too old shall be able to say so.
"""

import os
import sys

# What prepare.sh makes of the exit code; any other means "try the next Python".
PREPARED = 0
FAILED = 3
UNSUITABLE = 4

# What every run needs, with the folder where a release carries it.
LOCK = "requirements.txt"
CARRIED = "packages"
# What few runs need: those that verify signatures or use a Google service account's key.
CRYPTOGRAPHY = "requirements-crypto.txt"

# Where the program looks for a configuration file that nobody named.
CONFIGS = (".github/chainloop-smtp.yml", "chainloop-smtp.yml")

# The settings of pip that say where packages come from and how to get there. They are the machine's
# business, in a variable or in one of pip's files, and the hashes hold whatever they say. All the
# others mean some other install: `user`, `prefix`, `target`, `constraint`, `no-binary`,
# `require-virtualenv`, `dry-run` and their like would break this one.
HONOURED = (
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "keyring-provider",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
    "use-feature",  # `truststore`, which a pip before 24.2 needs to trust the system's certificates
)

# All else that pip gets of the step's environment, which may hold the job's secrets: how to start
# programs, where the user's files are, how to reach an index and whose certificates to trust.
PASSED = frozenset(
    (
        *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "NETRC"),
        *("TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "LC_CTYPE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF"),
        # Windows: without the first, no socket can be opened.
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
        *("USERPROFILE", "USERNAME", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA"),
        *("ALLUSERSPROFILE", "PROGRAMDATA", "PROGRAMFILES"),
        *("PROCESSOR_ARCHITECTURE", "PROCESSOR_ARCHITEW6432", "NUMBER_OF_PROCESSORS"),
    )
)

# In the folder of dependencies: the size and name of every file in it, written last.
CONTENTS = ".contents"
BYTE_CODE = "__pycache__"
# Nobody but the owner may write; who asks for less (umask 077) gets it.
UMASK = 0o022


def main() -> int:
    """Find or make the folder of dependencies. The answer is the exit code."""
    version = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 - it is what this is for
        return _unsuitable(f"Python {version} is older than 3.11")
    if sys.implementation.name != "cpython":
        # Some of the dependencies are compiled, and have no wheels for any other.
        return _unsuitable(f"{sys.implementation.name} is not CPython")
    if not sys.executable:
        return _unsuitable("it does not know its own path")
    os.umask(os.umask(UMASK) | UMASK)
    carried = os.path.join(_action(), CARRIED)
    sites = [carried] if os.path.isdir(carried) else []
    locks = [] if sites else [LOCK]
    if _needs_cryptography():
        locks.append(CRYPTOGRAPHY)
    pip = (sys.executable, "-I", "-X", "utf8", "-m", "pip")
    environ = None
    for name in locks:
        lock = os.path.join(_action(), name)
        key = _key(lock)
        site = _find(key)
        if not site:
            environ = environ or _environ(pip)
            if environ is None:
                return _unsuitable("it has no pip that works")
            site = _install(pip, environ, lock, key)
            if not site:
                return FAILED
        sites.append(site)
    print(f"Python {version}, {sys.executable}\nDependencies in {' and '.join(sites)}")
    _output(python=sys.executable, site=sites[0], extra="".join(sites[1:]))
    return PREPARED


def _unsuitable(why: str) -> int:
    print(f"{sys.executable or 'Python'}: {why}")
    return UNSUITABLE


def _action() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _key(lock: str) -> str:
    """Name the folder after everything that decides what belongs into it."""
    with open(lock, "rb") as file:
        content = file.read()
    # sys.version holds the full version and the build; on Windows also the processor. Older
    # versions of the Action write no list of contents, and keep folders of their own.
    facts = [sys.implementation.cache_tag, sys.version, sys.platform, CONTENTS]
    if os.name == "posix":
        facts.append(os.uname().machine)
        try:
            # Machines and containers may share a tool cache, and a wheel chosen for a newer glibc
            # does not load with an older one. musl does not know the name.
            facts.append(os.confstr("CS_GNU_LIBC_VERSION") or "")
        except (OSError, ValueError):
            facts.append(getattr(sys.implementation, "_multiarch", ""))
    digest = _sha256(content + "\n".join(facts).encode()).hex()
    return f"{sys.implementation.cache_tag}-{digest[:16]}"


def _needs_cryptography() -> bool:
    """Whether the step's inputs, or its configuration file, ask for what needs it.

    The file is only searched for the words: no YAML parser is there yet, and an extra package does
    no harm. The program says so if one is missing.
    """
    if os.environ.get("CRYPTOGRAPHY") == "true":
        return True
    given = os.environ.get("CONFIG", "").strip()
    for path in (given,) if given else CONFIGS:
        if os.path.isfile(path):  # and no pipe
            with open(path, "rb") as file:
                text = file.read(1024 * 1024)
            is_google = b"oauth2-provider" in text and b"google" in text
            return is_google or b"trusted-root" in text or b"verification-key" in text
    return False


def _sha256(data: bytes) -> bytes:
    # hashlib loads OpenSSL, a quarter of the time that all of a warm run takes. The module behind
    # it has had two names, and a Python built for FIPS has neither.
    try:
        from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            from hashlib import sha256
    digest: bytes = sha256(data).digest()
    return digest


def _find(key: str) -> str:
    """Find the folder that an earlier run has filled; empty when there is none to be trusted."""
    for home in _homes():
        site = os.path.join(home, key)
        if not os.path.lexists(site):
            continue
        why = _why_exposed(home) or _why_damaged(site)
        if not why:
            return site
        print(f"{site} is not used: {why}")
    return ""


def _homes() -> "list[str]":
    """List the folders that outlive this step, the longest-lived first."""
    names = [
        ("RUNNER_TOOL_CACHE", "chainloop-smtp"),  # outlives the job where the runner does
        ("RUNNER_TEMP", "chainloop-smtp-packages"),  # beside the default of `output-dir`
    ]
    if os.name == "posix":
        # Runners of several users may share a tool cache; the first of them owns the plain name.
        names.insert(1, ("RUNNER_TOOL_CACHE", f"chainloop-smtp-{os.geteuid()}"))
    return [
        os.path.join(os.environ[variable], name)
        for variable, name in names
        if os.environ.get(variable)
    ]


def _owners() -> "set[int]":
    """List whose files may be run: ours, root's, and those of whoever installed this very file."""
    return {0, os.geteuid(), os.stat(__file__).st_uid}


def _why_exposed(folder: str) -> str:
    """Say why somebody else could put another folder in this one's place; empty if nobody could."""
    if os.name != "posix":
        return ""  # access control lists, which the standard library cannot read
    owners = _owners()
    # Both where it is said to be and where links lead.
    for start in {os.path.abspath(folder), os.path.realpath(folder)}:
        path, parent = "", start
        while parent != path:
            path, parent = parent, os.path.dirname(parent)
            is_above = path != start
            status = os.stat(path)
            if not {status.st_uid, os.lstat(path).st_uid} <= owners:
                return f"{path} belongs to another user"
            writers = status.st_mode & 0o022
            # In a folder with the sticky bit, entries are renamed by their owners only. Above ours,
            # a group of one user may write, as it may by default on Debian.
            is_safe = is_above and (
                status.st_mode & 0o1000 or (writers == 0o020 and _is_private(status.st_gid, owners))
            )
            if writers and not is_safe:
                return f"other users may write to {path}"
    return ""


def _is_private(group: int, owners: "set[int]") -> bool:
    """Whether only the owners are in a group; it has to be named after one of them.

    The machine may not list the users of a directory (LDAP), so a list without others is no proof.
    """
    import grp
    import pwd

    try:
        entry = grp.getgrgid(group)
        users = {pwd.getpwnam(name).pw_uid for name in (entry.gr_name, *entry.gr_mem)}
    except KeyError:
        return False
    users.update(user.pw_uid for user in pwd.getpwall() if user.pw_gid == group)
    return users <= owners


def _why_damaged(site: str) -> str:
    """Say why the dependencies in a folder cannot be run as they are; empty if they can."""
    try:
        contents = _contents(site)
        with open(os.path.join(site, CONTENTS), encoding="utf-8") as file:
            expected = file.read()
        return "" if contents == expected else "files are missing in it, or have changed"
    except FileNotFoundError:
        return "it is not complete"
    except (OSError, ValueError) as error:
        return str(error)


def _contents(site: str) -> str:
    """List a folder's files with their sizes, one a line.

    Raises:
        OSError: One cannot be read, or somebody else may write to it.
    """
    is_posix = os.name == "posix"
    owners = _owners() if is_posix else set()
    user = os.geteuid() if is_posix else 0
    lines = []

    def look_at(path: str, status: "os.stat_result") -> None:
        if status.st_uid not in owners:
            raise PermissionError(f"{path} belongs to another user")
        if status.st_mode & 0o022:
            raise PermissionError(f"other users may write to {path}")
        if user and not status.st_mode & (0o400 if status.st_uid == user else 0o004):
            raise PermissionError(f"{path} cannot be read")

    def visit(folder: str, prefix: str, is_listed: bool) -> None:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    if is_listed:
                        raise
                    continue  # another job has just renamed its byte code into place
                if is_posix:
                    look_at(entry.path, status)
                if entry.is_dir(follow_symlinks=False):
                    name = f"{prefix}{entry.name}/"
                    visit(entry.path, name, is_listed and entry.name != BYTE_CODE)
                elif not entry.is_file(follow_symlinks=False):
                    raise OSError(f"{entry.path} is not a regular file")
                elif is_listed and prefix + entry.name != CONTENTS:
                    lines.append(f"{status.st_size} {prefix}{entry.name}\n")

    if is_posix:
        look_at(site, os.lstat(site))
    visit(site, "", is_listed=True)
    return "".join(lines)


def _output(**values: str) -> None:
    with open(os.environ["GITHUB_OUTPUT"], "ab") as file:
        for name, path in values.items():
            # The next step's bash runs one as a command, where only "/" surely makes it a path.
            value = path.replace("\\", "/") if os.name == "nt" else path
            # Elsewhere paths are bytes: these are the very bytes, whatever they mean to people.
            file.write(f"{name}={value}\n".encode(errors="surrogateescape"))


def _environ(pip: "tuple[str, ...]") -> "dict[str, str] | None":
    """Give the environment for the install; None when this Python has no working pip."""
    import ast
    import subprocess

    environ = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in PASSED  # proxies are also written in lower case
    }

    if "PIP_CONFIG_FILE" in os.environ:
        environ["PIP_CONFIG_FILE"] = os.environ["PIP_CONFIG_FILE"]

    def ask(*question: str) -> "str | None":
        answer = subprocess.run(
            [*pip, "config", *question],
            check=False,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        return answer.stdout if answer.returncode == 0 else None

    listing = ask("list")
    if listing is None:
        return None
    # pip lets its variables win over the section [install] of its files, and that over [global].
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        seen = set()
        for line in listing.splitlines():
            key, _, value = line.partition("=")
            name = key.partition(".")[2]
            if name not in HONOURED or key != f"{section}.{name}":
                continue
            # Where several files set a key, a recent pip lists them all, in no telling order.
            last = ask("get", key) if key in seen else ast.literal_eval(value)
            settings[name] = (last or "").strip()
            seen.add(key)
    for name in HONOURED:
        variable = "PIP_" + name.upper().replace("-", "_")
        setting = os.environ.get(variable) or settings.get(name)
        if setting:
            environ[variable] = setting
    # pip's own word for "read no file": whatever else they set is left behind with them.
    environ["PIP_CONFIG_FILE"] = os.devnull
    return environ


def _install(pip: "tuple[str, ...]", environ: "dict[str, str]", lock: str, key: str) -> str:
    """Let pip fill a new folder, then put it in its place; empty when that failed."""
    import shutil

    home, staging = _stage()
    site = ""
    try:
        filled = os.path.join(staging, "site")
        if _pip_install(pip, environ, lock, filled):
            with open(os.path.join(filled, CONTENTS), "w", encoding="utf-8", newline="\n") as file:
                file.write(_contents(filled))
            site = _settle(filled, os.path.join(home, key), staging + "-replaced")
        return site
    finally:
        aside = staging + "-replaced"
        if os.path.isdir(aside) and not os.path.islink(aside):
            shutil.rmtree(aside, ignore_errors=True)
        elif os.path.lexists(aside):
            os.unlink(aside)
        if not site.startswith(staging):
            shutil.rmtree(staging, ignore_errors=True)


def _stage() -> "tuple[str, str]":
    """Make a folder of our own beside the one to come, from where a rename can put it there."""
    import tempfile

    for home in _homes():
        try:
            os.makedirs(home, exist_ok=True)
            why = _why_exposed(home)
            if not why:
                return home, tempfile.mkdtemp(prefix=".staging-", dir=home)
        except OSError as error:
            why = str(error)  # a tool cache that is the machine's, not ours to write to
        print(f"Nothing is installed into {home}: {why}")
    # Nothing else is surely ours, and what others may have put ready must not be run. So the last
    # resort is a folder that is new each time.
    home = tempfile.mkdtemp(prefix="chainloop-smtp-")
    return home, tempfile.mkdtemp(prefix=".staging-", dir=home)


def _pip_install(pip: "tuple[str, ...]", environ: "dict[str, str]", lock: str, target: str) -> bool:
    import re
    import subprocess

    command = [
        *pip,
        "install",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        # launch.py keeps byte code elsewhere, and only of what is really imported.
        "--no-compile",
        # A workflow may store pip's cache for itself; our files are no business of its.
        "--no-cache-dir",
        "--target=" + target,
        "--requirement=" + lock,
        "--disable-pip-version-check",
        "--no-input",
        "--no-warn-script-location",
        "--progress-bar=off",
        "--root-user-action=ignore",
    ]
    # What an index answers is in pip's output, and must not become a command to the runner.
    token = os.urandom(16).hex()
    print(
        "::group::Install the dependencies of Chainloop SMTP\n::stop-commands::" + token, flush=True
    )
    refused = None
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        hashes_differ = False
        for line in process.stdout or ():
            print(line.rstrip("\n"), flush=True)
            hashes_differ = hashes_differ or "DO NOT MATCH THE HASHES" in line
            # pip names the package in the line after: "    attrs==26.1.0 from https://...".
            if hashes_differ and refused is None:
                refused = re.match(r"\s+([\w.-]+==[\w.!+-]+)", line)
    print(f"::{token}::\n::endgroup::", flush=True)
    if process.returncode == 0:
        return True
    if hashes_differ:
        package = refused.group(1) if refused else "A package"
        _error(
            "A dependency was refused",
            f"{package} is not the file that this version of the Action was released with: its hash"
            " differs. Look at the index, mirror or folder that pip takes packages from on this"
            " runner; the group above names the file.",
        )
    else:
        _error(
            "The dependencies were not installed",
            "pip failed; the group above says why. Without a way to the Python Package Index, point"
            " pip to a mirror (PIP_INDEX_URL) or to a folder of wheels (PIP_NO_INDEX and"
            f" PIP_FIND_LINKS). If there is no wheel for Python {sys.version.split()[0]}, choose"
            " another with actions/setup-python before this step.",
        )
    return False


def _settle(filled: str, site: str, aside: str) -> str:
    """Move what was installed into its place, all at once, and say where it is.

    A job that was faster has put the same there, which does as well. A damaged folder makes way.
    Where that fails, later jobs find nothing and install again.
    """
    import time

    for patience in (0.2, 0.5, 1, 2, 0):
        if not _why_damaged(site):
            return site
        try:
            if os.path.lexists(site):
                os.rename(site, aside)
            os.rename(filled, site)
            return site
        except OSError:
            time.sleep(patience)  # on Windows a virus scanner may hold a new file for a moment
    return filled


def _error(title: str, message: str) -> None:
    print(f"::error title={title}::{message}", flush=True)


def run() -> int:
    """Run `main`; what it did not foresee is an end too, not a reason to try the next Python."""
    try:
        return main()
    except Exception:  # noqa: BLE001 - reported in full
        import traceback

        # prepare.sh hides the standard error of Pythons that cannot start.
        traceback.print_exc(file=sys.stdout)
        _error("Python could not be prepared", "The lines above say where.")
        return FAILED


if __name__ == "__main__":
    sys.exit(run())

"""The process: its arguments, its environment, its exit code."""

import os
import sys

from chainloop_smtp import cli
from chainloop_smtp.cli import interrupts


def main() -> None:
    """Run the program, and end the process with its exit code."""
    interrupts.handle_once()
    try:
        code = cli.main(sys.argv[1:], os.environ)
        # Everything is done: a signal that comes now must not change how it ended.
        interrupts.ignore()
    except KeyboardInterrupt:
        code = interrupts.INTERRUPTED
    interrupts.finish()
    sys.exit(code)


if __name__ == "__main__":
    main()

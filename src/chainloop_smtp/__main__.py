"""The process: its arguments, its environment, its exit code."""

import os
import sys

from chainloop_smtp import cli


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    sys.exit(cli.main(sys.argv[1:], os.environ))


if __name__ == "__main__":
    main()

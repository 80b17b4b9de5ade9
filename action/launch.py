"""Imports our package and its dependencies, from these folders and nowhere else, and sends.

Run as ``python -I -S -X utf8 launch.py SITE EXTRA``, which are the folders that ``bootstrap.py``
reported; the second is empty where nothing rare is needed.
"""

import gc
import os
import sys


def launch(site: str, extra: str = "") -> None:
    """Run the command ``send``; the process ends with its exit code."""
    action = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:0] = [os.path.join(action, "src"), site, *filter(None, (extra,))]
    if os.path.isdir(os.path.join(action, "packages")):
        # A release brings its byte code, and a runner may share its folder or protect it.
        sys.dont_write_bytecode = True
    else:
        # Byte code goes beside the dependencies, also our own: with `uses: ./` our source lies in
        # the caller's checkout, which must stay as clean as it was.
        sys.pycache_prefix = os.path.join(site, "__pycache__")
    # Later runs trust it, so nobody else may write to it, whatever umask the runner has.
    os.umask(os.umask(0o022) | 0o022)
    sys.argv[1:] = ["send"]

    # What is imported stays: looking through it for garbage, now and at the end, finds none and
    # costs a seventh of the run.
    gc.disable()
    from chainloop_smtp.__main__ import main

    gc.freeze()
    gc.enable()
    # What writes a mail is imported while its server is connected to. So the collector stays, for a
    # run of many mails, but comes seldom.
    gc.set_threshold(50_000)
    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    launch(*sys.argv[1:])

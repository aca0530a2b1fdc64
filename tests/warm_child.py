"""What a command does in the tests of the warm launcher: `python -m tests.warm_child WORD …`."""

from __future__ import annotations

import os
import signal
import sys
import time

from spavl.outcome import Outcome

if __name__ == "__main__":
    word = sys.argv[1]
    print(
        f"{word}: {os.getcwd()} {os.environ.get('SPAVL_HOME')} {'json.tool' in sys.modules}", file=sys.stderr
    )
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "sleep":
        time.sleep(60)
    if word == "fail":
        print(Outcome("images", "seal", "", "failed", 3, error="too few rows").to_line())
        sys.exit(3)
    counts = {"pid": os.getpid(), "session": os.getsid(0), "parent": os.getppid()}
    print(Outcome("images", "seal", "", counts=counts).to_line())

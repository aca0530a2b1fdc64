"""`python -m spavl.demo up` runs tonight under a local Airflow, `down` stops what it started. `make demo` and `make down`."""

from __future__ import annotations

import argparse
import sys

from spavl.errors import SpavlError


def main() -> int:
    """Run one of the two commands; a mistake or a service that is away is one line."""
    parser = argparse.ArgumentParser(prog="python -m spavl.demo", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    command = parser.parse_args().command
    from spavl.demo import night

    try:
        return {"up": night.up, "down": night.down}[command]()
    except SpavlError as error:
        print(f"spavl: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

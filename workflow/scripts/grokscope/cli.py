"""The command ``grokscope``: list, verify and prune the trace store."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from grokscope.data.trace_reader import TraceError
from grokscope.runs.config import default_of
from grokscope.train.store import TraceStore


def _list(store: TraceStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    for entry in entries:
        used = time.strftime("%Y-%m-%d", time.localtime(entry.last_used))
        size = entry.path.stat().st_size
        try:
            run = str(entry.check().key)
        except (TraceError, OSError) as error:
            run = f"bad: {error}"
        print(f"{entry.key[:12]}  {size:>11,} B  used {used}  {run}")
    total = sum(entry.path.stat().st_size for entry in entries)
    print(f"{len(entries)} traces, {total:,} B in {store.root}")
    return 0


def _verify(store: TraceStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    bad = 0
    for entry in entries:
        try:
            entry.check()
        except (TraceError, OSError) as error:
            bad += 1
            print(f"{entry.path}: {error}")
            if options.delete:
                entry.path.unlink(missing_ok=True)
    print(f"{len(entries)} traces, {bad} bad{', deleted' if bad and options.delete else ''}")
    return 1 if bad and not options.delete else 0


def _prune(store: TraceStore, options: argparse.Namespace) -> int:
    old = store.prune(options.days)
    print(f"deleted {len(old)} traces not used for {options.days:g} days, of {store.root}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="grokscope", description=__doc__)
    commands = parser.add_subparsers(required=True)
    store = commands.add_parser("store", help="the store of finished traces")
    store.add_argument(
        "--path", default=default_of("store"), help="the store's folder (default: %(default)s)"
    )
    actions = store.add_subparsers(required=True)
    listing = actions.add_parser("list", help="every trace: size, last use, run")
    listing.set_defaults(action=_list)
    verify = actions.add_parser("verify", help="check content, schema and specification of all")
    verify.add_argument("--delete", action="store_true", help="delete invalid traces")
    verify.set_defaults(action=_verify)
    prune = actions.add_parser("prune", help="delete traces not used for a number of days")
    prune.add_argument("--days", type=float, required=True)
    prune.set_defaults(action=_prune)
    options = parser.parse_args(arguments)
    status: int = options.action(TraceStore(options.path), options)
    return status


if __name__ == "__main__":
    sys.exit(main())

"""The command ``grokscope``: look after the trace store, and tidy results."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from grokscope.core.errors import UserError
from grokscope.data.trace_reader import TraceError
from grokscope.data.trace_tree import left_over, move_away, plan_of
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


def _tidy(options: argparse.Namespace) -> int:
    paths = left_over(plan_of(options.folder, options.config), options.folder)
    if options.move is not None:
        move_away(paths, options.move, options.folder)
    for path in paths:
        print(path)
    end = "--move FOLDER moves them" if options.move is None else f"moved to {options.move}"
    print(f"{len(paths)} results of other configurations{f'; {end}' if paths else ''}")
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
    store.set_defaults(run=lambda options: options.action(TraceStore(options.path), options))
    tidy = commands.add_parser(
        "tidy", help="list, or move away, results of other configurations: runs in no grid"
    )
    tidy.add_argument("--folder", default=".", help="where snakemake ran (default: %(default)s)")
    tidy.add_argument("--config", help="configuration file (default: that of the results)")
    tidy.add_argument("--move", metavar="FOLDER", help="folder to move them to")
    tidy.set_defaults(run=_tidy)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())

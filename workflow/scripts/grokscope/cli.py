"""The command ``grokscope``: look after the trace store, and tidy results."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from grokscope.core.errors import UserError
from grokscope.data.trace_reader import OtherVersionError, TraceError
from grokscope.data.trace_tree import left_over, move_away, plan_of
from grokscope.runs.config import default_of
from grokscope.train.store import Entry, TraceStore, UnreadableError


def _verdict(entry: Entry) -> tuple[str, str]:
    """What is to be said of an entry: ``good``, ``bad``, ``unreadable`` or ``other``; which words.

    Only what was read and found wrong is bad: an entry that this user may not read, or of another
    version of Grokscope, is good for others.
    """
    try:
        return "good", str(entry.check().key)
    except UnreadableError as error:
        return "unreadable", str(error)
    except OtherVersionError as error:
        return "other", str(error).removeprefix(f"{entry.path}: ")
    except TraceError as error:
        return "bad", str(error).removeprefix(f"{entry.path}: ")


def _list(store: TraceStore, options: argparse.Namespace) -> int:
    paths, errors = store.scan()
    total = 0
    for entry in map(Entry, paths):
        with suppress(FileNotFoundError):  # Deleted meanwhile.
            used = time.strftime("%Y-%m-%d", time.localtime(entry.last_used))
            size = entry.path.stat().st_size
            kind, words = _verdict(entry)
            run = words if kind == "good" else f"{kind}: {words}"
            print(f"{entry.key[:12]}  {size:>11,} B  used {used}  {run}")
            total += size
    for error in errors:
        print(f"unreadable: {error}")
    print(f"{len(paths)} traces, {total:,} B in {store.root}")
    return 0


def _verify(store: TraceStore, options: argparse.Namespace) -> int:
    paths, errors = store.scan()
    counts = Counter(unreadable=len(errors))
    for error in errors:
        print(f"unreadable: {error}")
    for entry in map(Entry, paths):
        kind, words = _verdict(entry)
        counts[kind] += 1
        if kind == "good":
            continue
        print(f"{kind}: {entry.path}: {words}")
        if kind == "bad" and options.delete:
            try:
                entry.path.unlink(missing_ok=True)
                counts["deleted"] += 1
            except OSError as error:
                print(f"not deleted: {entry.path}: {error.strerror}")
    print(
        f"{len(paths)} traces, {counts['bad']} bad ({counts['deleted']} deleted), "
        f"{counts['other']} of other versions, {counts['unreadable']} unreadable (both kept)"
    )
    return 1 if counts["bad"] > counts["deleted"] or counts["unreadable"] else 0


def _prune(store: TraceStore, options: argparse.Namespace) -> int:
    old, problems = store.prune(options.days)
    for problem in problems:
        print(f"not deleted: {problem}")
    print(f"deleted {len(old)} traces not used for {options.days:g} days, of {store.root}")
    return 1 if problems else 0


def _days(text: str) -> float:
    """A number of days from 0 on."""
    days = float(text)
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days from 0 on")
    return days


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
    prune.add_argument("--days", type=_days, required=True)
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

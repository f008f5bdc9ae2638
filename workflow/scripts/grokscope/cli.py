"""The command ``grokscope``: import logs, look after the trace store, and tidy results."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import yaml

from grokscope.core.errors import UserError
from grokscope.core.files import replacing
from grokscope.data.logs.describe import describe
from grokscope.data.trace_reader import OtherVersionError, TraceError
from grokscope.data.trace_tree import left_over, move_away, plan_of
from grokscope.monitor.records import recover
from grokscope.runs.config import default_of
from grokscope.runs.kinds import KINDS
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


# More reasons than anyone reads.
_MOST_REASONS = 5


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Options of the form name=value."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UserError(f"{option} {text}: is not allowed; allowed: NAME=VALUE")
        found[name] = value
    return found


def _run_value(text: str) -> Any:
    """``config:NAME`` and ``column:NAME`` say where a value stands; anything else is one."""
    where, sign, name = text.partition(":")
    if sign and where in ("config", "column"):
        return {where: name}
    return yaml.safe_load(text)


def _import(options: argparse.Namespace) -> int:
    source: dict[str, Any] = {"files": options.files}
    for name in ("format", "row", "overlap"):
        if (value := getattr(options, name)) is not None:
            source[name] = value
    if columns := _pairs(options.column, "--column"):
        source["columns"] = {name: value or None for name, value in columns.items()}
    if run := _pairs(options.run, "--run"):
        # A path is a pattern with braces, which YAML would take for a mapping.
        source["run"] = {n: v if n in ("path", "part") else _run_value(v) for n, v in run.items()}
    if where := _pairs(options.where, "--where"):
        source["where"] = {name: yaml.safe_load(value) for name, value in where.items()}
    found = describe(options.study, options.kind, source)
    print("\n".join(found.lines))
    if found.refused:
        for reason in found.refused[:_MOST_REASONS]:
            print(f"refused: {reason}", file=sys.stderr)
        if (more := len(found.refused) - _MOST_REASONS) > 0:
            print(f"and {more} more", file=sys.stderr)
        return 2
    if options.output is None:
        print(f"\n{found.config}", end="")
    else:
        with replacing(options.output) as temporary:
            temporary.write_text(found.config, encoding="utf-8")
        print(
            f"written: {options.output}; next: "
            f"snakemake --cores 2 all --configfile {options.output}"
        )
    return 0


def _add_import(commands: Any) -> None:
    """The command ``import``."""
    logs = commands.add_parser(
        "import", help="say what is in logs of trainings, and write the configuration for them"
    )
    logs.add_argument("files", nargs="+", help="logs, folders of them, or quoted patterns")
    logs.add_argument(
        "--study", default="own_logs", help="name of the study (default: %(default)s)"
    )
    logs.add_argument("--kind", default="early_warning", choices=sorted(KINDS))
    logs.add_argument("--format", help="format of the logs (default: told by each)")
    for option, meaning in (
        ("--column", "what a column is named, as in train_metric=train_acc"),
        ("--run", "what names a run: seed=3, seed=config:seed, task=column:op, path={seed}.csv"),
        ("--where", "rows to read, as in figure=fig5a"),
    ):
        logs.add_argument(option, action="append", default=[], metavar="NAME=VALUE", help=meaning)
    logs.add_argument("--row", help="what a row describes: after_update or before_update")
    logs.add_argument("--overlap", help="later_wins: of resumed runs the later rows count")
    logs.add_argument("--output", metavar="FILE", help="where to write the configuration")
    logs.set_defaults(run_command=_import)


def _recover(options: argparse.Namespace) -> int:
    for path in options.files:
        rows = recover(path)
        print(f"{path}: {rows:,} rows of a run that did not end by itself")
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
    store.set_defaults(
        run_command=lambda options: options.action(TraceStore(options.path), options)
    )
    tidy = commands.add_parser(
        "tidy", help="list, or move away, results of other configurations: runs in no grid"
    )
    tidy.add_argument("--folder", default=".", help="where snakemake ran (default: %(default)s)")
    tidy.add_argument("--config", help="configuration file (default: that of the results)")
    tidy.add_argument("--move", metavar="FOLDER", help="folder to move them to")
    tidy.set_defaults(run_command=_tidy)
    _add_import(commands)
    died = commands.add_parser(
        "recover", help="make the files of watched runs whose process died and that nobody resumes"
    )
    died.add_argument("files", nargs="+", metavar="RUN.parquet", help="as the monitor was given")
    died.set_defaults(run_command=_recover)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run_command(options)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())

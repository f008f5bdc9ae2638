"""Blocks of code in README and docs, and how each is run.

A page is a story: its blocks are run in their order, in one folder, as a reader would. That folder
is a checkout in which the tiny configuration was computed.

======== ======================================================================================
block    what happens
======== ======================================================================================
yaml     a configuration, or a part of one: checked as the workflow checks it
any      that begins with a comment naming a file (``# my_sweep.yaml``): written there, or appended
         where the comment says ``# at the end of FILE``
diff     whose comment says ``# in FILE``: the lines with - are replaced there by those with +
bash     run, with the stand-ins of ``STAND_INS``; folder, variables and aliases are kept
python   run, with the names of earlier blocks of the page
text     shown, not run: output and layouts
======== ======================================================================================

A block that cannot be run says why in a comment before it: ``<!-- not run: REASON -->``.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

from grokscope.runs.config import check_config
from project import PARTS, ROOT, TINY

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LANGUAGES = {"bash", "diff", "python", "text", "yaml"}

# What a run of the workflow needs of a checkout, and ``make`` of it.
CLONED = (*PARTS, "Makefile", "pyproject.toml", "requirements.txt", "requirements.lock", ".venv")

# What is run instead of commands that take minutes, install packages or need a network. Each is a
# shell function of the command's name; "$@" are its arguments.
STAND_INS = {
    # Files named try_*.yaml and my_sweep.yaml ask for a minute's work, which is done.
    "snakemake": """case "$*" in
        *try_*.yaml*|*my_sweep.yaml*) command snakemake "$@" --config "store=$PWD/store" ;;
        *) command snakemake "$@" --dry-run --quiet all ;;
    esac""",
    # Whether there is such a target, and what it would do.
    "make": 'command make --dry-run "$@" >/dev/null',
    # Would install from the network.
    "pip": 'test "$1" = install',
    # The checkout at hand.
    "git": f'test "$1" = clone && mkdir "$3" && cp -r {" ".join(CLONED)} "$3"',
}

FILE = re.compile(r"^(?:#|\.\.) (at the end of |in )?([\w./-]+\.\w+)$")
REASON = re.compile(r"^<!-- not run: (.+?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    text: str
    # Why it is not run; None for a block that is.
    reason: str | None

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Blocks of a page in their order; what tells Sphinx to do something is none."""
    found, reason = [], None
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type in ("fence", "code_block"):
            if not token.info.startswith("{"):
                assert token.map is not None
                language = token.info.strip()
                found.append(Block(page, token.map[0] + 1, language, token.content, reason))
        elif token.type == "html_block" and (match := REASON.match(token.content)):
            reason = match[1]
            continue
        reason = None
    return found


def changed(text: str, change: str, block: Block) -> str:
    """Text of a file after a block: with the block at its end, or with lines replaced."""
    if block.language != "diff":
        return f"{text}\n\n{change}" if text else change
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] != "+")
    assert text.count(old) == 1, f"{block.place}: not once in the file:\n{old}"
    return text.replace(old, "".join(line[1:] for line in lines if line[0] != "-"))


@dataclass
class Story:
    """Runs the blocks of a page.

    Attributes
    ----------
    folder
        A checkout, which is changed; its neighbour ``home`` is the reader's home.
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder.parent / "home"
        self.home.mkdir()

    def run(self, block: Block) -> None:
        """Run a block; an AssertionError with what it printed if it fails."""
        first, _, rest = block.text.partition("\n")
        if file := FILE.match(first):
            path = self.folder / file[2]
            assert path.exists() == bool(file[1]), f"{block.place}: {path} is there, or is not"
            text = path.read_text("utf-8") if file[1] else ""
            path.write_text(changed(text, rest, block), encoding="utf-8")
        elif block.language != "text":
            getattr(self, f"run_{block.language}")(block)

    def run_yaml(self, block: Block) -> None:
        """Check a configuration; one without studies with those of the tiny configuration."""
        check_config(yaml.safe_load(TINY.read_text()) | yaml.safe_load(block.text))

    def run_python(self, block: Block) -> None:
        """Run in this process, in the folder."""
        code = compile("\n" * block.line + block.text, block.page.name, "exec")
        with contextlib.chdir(self.folder):
            exec(code, self.names)  # noqa: S102

    def run_bash(self, block: Block) -> None:
        """Run in a shell that goes on where the last one of the page ended."""
        state = shlex.quote(str(self.home / ".state"))
        functions = "\n".join(f"{name}() {{ {body}\n}}" for name, body in STAND_INS.items())
        script = "\n".join(
            [
                "shopt -s expand_aliases",
                f"[ -e {state} ] && . {state}",
                functions,
                "set -euo pipefail",
                block.text,
                f'{{ export -p; alias -p; echo cd $(printf %q "$PWD"); }} > {state}',
            ]
        )
        self._checked(block, ["bash", "-c", script])

    def _checked(self, block: Block, command: list[str]) -> None:
        binaries = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "SCRATCH": str(self.home / "scratch"),
            # Fonts and the like need not be found again.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert not done.returncode, f"{block.place}\n{block.text}\n{done.stdout}{done.stderr}"

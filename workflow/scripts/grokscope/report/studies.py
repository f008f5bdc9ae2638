"""Studies as report and validation are told of them: name, kind and claim set."""

from __future__ import annotations

import json
from dataclasses import dataclass

from grokscope.core.formatting import lower_first
from grokscope.runs.kinds import KINDS


@dataclass(frozen=True)
class Study:
    """A study of the configuration: its name, its kind and the claim set that judges it."""

    name: str
    kind: str
    claims: str | None

    @property
    def title(self) -> str:
        """Head of its chapter: "gai: early warning"."""
        return f"{self.name}: {lower_first(KINDS[self.kind].title)}"

    @property
    def anchor(self) -> str:
        """Id of its chapter in the page; no claim or other section has such a one."""
        return f"study-{self.name}"

    @property
    def explored(self) -> str:
        """Address of its runs in the explorer."""
        return f"explorer.html#view=overview&study={self.name}"


def read_studies(text: str) -> list[Study]:
    """Studies from JSON, ``{name: {"kind": ..., "claims": ...}}``, in its order."""
    return [Study(name, of["kind"], of["claims"]) for name, of in json.loads(text).items()]

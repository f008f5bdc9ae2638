"""Published claims: what others wrote, as ``workflow/report/claims.yaml`` states it.

Every published number that is printed, drawn or compared with stands in that file alone. Nothing
here judges: a claim of the file is judged by the function registered under its id
(:mod:`grokscope.claims.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from grokscope.core.schemas import load_yaml
from grokscope.runs.kinds import KINDS

T = TypeVar("T")


@dataclass(frozen=True)
class PublishedClaim:
    """One claim.

    Attributes
    ----------
    statement, published, rule, weakness
        Printed: the claim, its numbers, by what rule it is judged, and what weakens it.
    values
        The published numbers that verdicts compare with, and the tolerances of the rule.
    """

    id: str
    statement: str
    published: str
    values: Mapping[str, Any]
    rule: str
    weakness: str


@dataclass(frozen=True)
class ClaimSet:
    """The claims of one publication, about studies of one kind.

    Attributes
    ----------
    authors, identifier, code
        None where they are not known.
    """

    name: str
    kind: str
    title: str
    authors: str | None
    identifier: str | None
    code: str | None
    claims: tuple[PublishedClaim, ...]

    def claim(self, name: str) -> PublishedClaim:
        """A claim by its id; KeyError if there is none."""
        found = {claim.id: claim for claim in self.claims}
        return found[name]


def _decoded(kind: type[T], values: Any, where: str) -> T:
    """An object from a mapping with exactly its fields."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    found = set(values) if isinstance(values, dict) else {type(values).__name__}
    if found != names:
        raise ValueError(f"{where} has the fields {sorted(found)}; it must have {sorted(names)}")
    return kind(**values)


def read_published(path: str | Path) -> dict[str, ClaimSet]:
    """Claim sets of a YAML file by name, in its order.

    Raises
    ------
    ValueError
        Naming the file and the claim, if fields are missing or unknown, if a kind is none of
        :data:`grokscope.runs.kinds.KINDS`, or if an id stands twice.
    """
    sets: dict[str, ClaimSet] = {}
    seen: set[str] = set()
    for name, values in load_yaml(Path(path).read_text(encoding="utf-8")).items():
        where = f"{path}: claim set {name!r}"
        made = _decoded(ClaimSet, {"name": name} | values, where)
        if made.kind not in KINDS:
            raise ValueError(f"{where} is of kind {made.kind!r}; one of {', '.join(KINDS)}")
        claims = []
        for entry in values["claims"]:
            claim = _decoded(PublishedClaim, entry, f"{path}: claim {entry.get('id')!r}")
            if claim.id in seen:
                raise ValueError(f"{path}: claim {claim.id!r} stands twice")
            seen.add(claim.id)
            claims.append(claim)
        sets[name] = ClaimSet(**{**vars(made), "claims": tuple(claims)})
    return sets

"""Figures of the report: which file is which, what it shows, how to read it.

Input: paths of PNG files and captions. Output: figures in the order in which a chapter has them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from grokscope.core.formatting import title_words, words
from grokscope.runs.kinds import Kind


@dataclass(frozen=True)
class Figure:
    """One figure: its file, its name, what it shows, how to read it."""

    path: Path
    name: str
    title: str
    caption: str

    @property
    def alt(self) -> str:
        """Title and the caption's first sentence."""
        first = re.split(r"(?<=[.!?])\s", self.caption, maxsplit=1)[0]
        return f"{self.title}. {first}".strip()

    @property
    def data(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode()


def figure_title(name: str) -> str:
    """Words for a figure's name: "Delay map", "GAI trace"."""
    return title_words(name).replace("Gai ", "GAI ")


def run_title(parts: Iterable[str]) -> str:
    """Words for the path of a run's figure: "Modular addition, depth 2, seed 42"."""
    named = [part.partition("=") for part in parts]
    texts = [
        words(value) if name == "task" else f"{words(name)} {value}" for name, _, value in named
    ]
    text = ", ".join(texts)
    return text[:1].upper() + text[1:]


def study_figures(
    study: str, kind: Kind, paths: Iterable[Path], captions: Mapping[str, str]
) -> dict[str, Figure]:
    """The figures of a study by name, in the order of its kind; those not drawn are left out.

    Parameters
    ----------
    captions
        Text of a caption by the figure's name.
    """
    places: dict[tuple[str, ...], str] = {
        ("figures", study, f"{name}.png"): name for name in kind.figures
    }
    if kind.main_figure is not None:
        places["results", f"{study}.png"] = kind.main_figure
    found = {}
    for path in paths:
        for place, name in places.items():
            if path.parts[-len(place) :] == place:
                found[name] = Figure(path, name, figure_title(name), captions.get(name, ""))
    return {name: found[name] for name in kind.figures if name in found}


def run_figures(
    study: str, kind: Kind, paths: Iterable[Path], captions: Mapping[str, str]
) -> list[Figure]:
    """The figures of a study's single runs, ``figures/{study}/overlays/task=.../seed=....png``."""
    if kind.run_figure is None:
        return []
    folder = ("figures", study, f"{kind.run_figure}s")
    caption = captions.get(kind.run_figure, "")
    found = []
    for path in paths:
        parts = path.with_suffix("").parts
        for start in range(len(parts) - len(folder)):
            if parts[start : start + len(folder)] == folder:
                title = run_title(parts[start + len(folder) :])
                found.append(Figure(path, kind.run_figure, title, caption))
    return sorted(found, key=lambda figure: _natural(figure.path))


def _natural(path: PurePath) -> list[tuple[int, float, str]]:
    """Sort key in which 2 comes before 10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", path.as_posix())
    return [(0, float(p), "") if re.fullmatch(r"\d.*", p) else (1, 0.0, p) for p in parts]

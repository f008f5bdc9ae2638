"""The explorer's page: template, style, modules, the plotting library and the packed results.

Input: packed results (:mod:`grokscope.report.explorer.material`). Output: one HTML text that asks
for nothing outside itself. The modules of ``js/`` stand in it as they are, by an import map; the
plotting library, Bokeh, is the bundle of its Python package.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from grokscope.report.explorer.curves import BUCKETS, LEVELS
from grokscope.report.explorer.packing import to_text

# What of Bokeh is used: plots, and the interface for making them.
_BUNDLES = ("bokeh.min.js", "bokeh-api.min.js")


def plotting_library() -> str:
    """Bokeh's code, packed."""
    folder = files("bokeh") / "server/static/js"
    code = "\n".join((folder / name).read_text(encoding="utf-8") for name in _BUNDLES)
    return to_text(code.encode())


def import_map(modules: Iterable[Path]) -> str:
    """JSON that gives the modules their names, ``explorer/{file}``, without files or network."""
    imports = {
        f"explorer/{path.name}": "data:text/javascript;base64,"
        + base64.b64encode(path.read_bytes()).decode()
        for path in modules
    }
    return json.dumps({"imports": imports})


def render_explorer(template: Path, style: Path, modules: Iterable[Path], packed: str) -> str:
    """The page.

    Parameters
    ----------
    template, style, modules
        Files: ``explorer.html.j2``, ``explorer.css`` and those of ``js/``.
    packed
        Of :func:`grokscope.report.explorer.material.pack_explorer`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Ours and base64: none of it holds a name of a configuration. JSON of base64 has no "<".
    return environment.get_template(template.name).render(
        style=Markup(style.read_text(encoding="utf-8")),  # noqa: S704
        imports=Markup(import_map(sorted(modules))),  # noqa: S704
        library=Markup(plotting_library()),  # noqa: S704
        packed=Markup(packed),  # noqa: S704
        buckets=BUCKETS,
        levels=LEVELS,
    )

"""The documentation site: ``make docs`` writes it to build/site.

Nothing is loaded from elsewhere when a page is read: fonts are the reader's own, formulas are
MathML, which browsers draw themselves, and search is a script beside the pages. So the folder can
be put on any static host, or opened from the disk.

The pages are the Markdown files that GitHub shows, with links that hold in the repository.
"""

import os
import re
import sys
from pathlib import Path
from pkgutil import resolve_name

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# Docstrings are those of this checkout, whichever is installed.
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import grokscope  # noqa: E402
from grokscope.report.definitions import definitions  # noqa: E402
from grokscope.runs.config import default_analysis  # noqa: E402
from grokscope.runs.kinds import KINDS  # noqa: E402

# Pages of the site that stand elsewhere in the repository: a page of docs/ includes each.
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "speed.md",
}

project = "Grokscope"
version = release = grokscope.__version__
# No year: the pages of a commit have the same bytes whenever they are made.
project_copyright = "the Grokscope authors; MIT licence"

# githubpages: a file that has GitHub serve folders whose names begin with _ as well.
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.githubpages",
    "sphinx.ext.napoleon",
]
# A reference to what Grokscope does not have is an error. Names of other libraries are not looked
# up: the site is built without a network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!grokscope\.).*")]

# Markdown as GitHub shows it, with its anchors of headings and its formulas.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Docstrings in NumPy form; types come from the annotations.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
# By their names, not by what they stand for.
autodoc_type_aliases = {name: name for name in ("ArrayLike", "npt.ArrayLike")}
napoleon_google_docstring = False

html_theme = "furo"
html_title = "Grokscope"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"


def links(text: str, source: Path, page: Path) -> str:
    """Make links of a file of the repository hold in a page of the site.

    Parameters
    ----------
    text
        Markdown of the file.
    source, page
        The file, and the page of ``docs/`` that shows it.
    """

    def moved(match: re.Match[str]) -> str:
        path, anchor = match[1], match[2] or ""
        target = (source.parent / path).resolve()
        if not target.is_relative_to(ROOT):
            return match[0]
        place = ELSEWHERE.get(target.relative_to(ROOT).as_posix())
        target = DOCS / place if place else target
        return f"]({os.path.relpath(target, page.parent)}{anchor})"

    return re.sub(r"\]\(((?!\w+:)[^)#\s]+)(#[^)\s]*)?\)", moved, text)


def quoted(text: str) -> str:
    """Put the report's definitions where a page names them: ``<!-- definition: Onset -->``."""
    words = dict(definitions(default_analysis(), KINDS, has_claims=True))
    return re.sub(
        r"^<!-- definition: (.+) -->$",
        lambda match: f"> **{match[1]}.** {words[match[1]]}\n",
        text,
        flags=re.MULTILINE,
    )


def page_read(app: Sphinx, name: str, content: list[str]) -> None:
    """Mend the links of a page, and quote the report in it."""
    page = Path(app.env.doc2path(name))
    content[0] = quoted(links(content[0], page, page))


def include_read(app: Sphinx, path: Path, name: str, content: list[str]) -> None:
    """Mend the links of a file that a page includes."""
    content[0] = links(content[0], DOCS / path, Path(app.env.doc2path(name)))


class CodeLinks(SphinxTransform):
    """Make a name of the library that stands in a text as code a link to its description."""

    default_priority = 5  # Before references are resolved.

    def apply(self, **kwargs: object) -> None:
        """Wrap every such name in a reference."""
        for node in list(self.document.findall(nodes.literal)):
            name = node.astext()
            inside = isinstance(node.parent, pending_xref | nodes.reference)
            if not inside and re.fullmatch(r"grokscope(\.\w+)+", name):
                link = pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=name, refwarn=False
                )
                node.replace_self(link)
                link += node


def off_site(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Leave a reference to code that no page shows as it is, if there is such code."""
    try:
        resolve_name(node["reftarget"])
    except (AttributeError, ImportError, ValueError):
        return None
    return text


def formula(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML."""
    block = isinstance(node, nodes.math_block)
    try:
        translator.body.append(tex2mathml(node.astext(), as_block=block))
    except MathError as error:
        raise ExtensionError(f"{node.source}:{node.line}: {node.astext()}: {error}") from error
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.add_transform(CodeLinks)
    app.connect("source-read", page_read)
    app.connect("include-read", include_read)
    app.connect("missing-reference", off_site)
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))

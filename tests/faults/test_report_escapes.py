"""The report shows text of configuration and data as text, never as markup."""

from html.parser import HTMLParser

import pytest

from grokscope.runs.config import check_config
from grokscope.runs.problems import ConfigError
from synthetic_results import make_results, small_values, synthetic_trace

HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</pre></table><iframe src=//evil>",
    "{{ 7 * 7 }}{% for x in y %}",
    "[click](javascript:alert(1)) | ` ** <b>",
]


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def tags_of(results):
    # In any order: libraries are sorted by their names.
    return sorted((tag, sorted(attributes)) for tag, attributes in Tags(results.html).found)


def one_study(**of):
    """A configuration of few runs."""
    config = small_values()
    config["studies"] = {"phase_diagram": config["studies"]["phase_diagram"]}
    return check_config(config | of)


def with_facts(text):
    """Traces with such names of devices and libraries."""

    def trace_of(spec):
        trace = synthetic_trace(spec)
        # Equally long, as long cells have a class of their own.
        name = text.ljust(60, "x")
        trace.info.__dict__.update(device=name, versions={name: name, "torch": name})
        return trace

    return trace_of


def test_hostile_words_are_shown_as_words(tmp_path):
    dull = make_results(tmp_path / "dull", one_study(store="/tidy"), with_facts("dull"))
    for number, text in enumerate(HOSTILE):
        store = text.replace("`", "")
        page = make_results(tmp_path / str(number), one_study(store=store), with_facts(text))
        # The same elements with the same attributes: nothing of the text became one.
        assert tags_of(page) == tags_of(dull)
        # Nor were templates in it expanded.
        assert "49" not in page.html.split("Versions")[-1] or "7 * 7" not in text
        for line in page.markdown.splitlines():
            if text in line and "store:" not in line:
                pytest.fail(f"not escaped in Markdown: {line}")


@pytest.mark.parametrize("store", ["a`b", "```\n# Title", "a\nb"])
def test_a_store_cannot_leave_the_block_that_shows_it(store):
    with pytest.raises(ConfigError, match="store: "):
        one_study(store=store)


@pytest.mark.parametrize("name", ["../x", "a;b", "$(x)", "<b>", "a b", "a/b"])
def test_no_name_of_a_path_is_free(name):
    """A study has a name of letters, digits and underscores, a task one that is registered."""
    config = small_values()
    config["studies"][name] = config["studies"]["gai"]
    with pytest.raises(ConfigError, match="is not a valid study name"):
        check_config(config)
    config = small_values()
    config["studies"]["gai"]["grids"][0]["tasks"] = [name]
    with pytest.raises(ConfigError, match=r"tasks\[0\]: .* allowed: one of"):
        check_config(config)

"""Pages of our own: no network, no script, one look."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2
from mooring_artifacts.text import visible

_STYLE = "style.css.j2"


def render(package: str, name: str, **values: object) -> str:
    """Fill in the template `name` of a package; whatever a file or a spec calls its things stays text."""
    return _environment(package, name).get_template(name).render(**values)


@cache
def _environment(package: str, name: str) -> jinja2.Environment:
    sources = {
        where: resources.files(holder).joinpath(where).read_text("utf-8")
        for holder, where in ((package, name), ("mooring_components", _STYLE))
    }
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment

"""Write what a test found for people, from what its steps left in files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mooring_artifacts.gates import parse_gates
from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import Verdict
from mooring_artifacts.uploads import put_document

from mooring_components.evidence import Evidence
from mooring_components.report.markdown import render_markdown
from mooring_components.report.page import Tested, render_page


def write_reports(
    verdict: Verdict,
    gates: Sequence[Mapping[str, Any]],
    found: Findings,
    hint: str,
    sources: tuple[Path, Path],
    targets: tuple[Path, Path],
    page_uri: str = "",
) -> None:
    """Print the verdict as Markdown, and write it so and as a page.

    Args:
        verdict: what was made of `found` by `gates`.
        gates: in their JSON form.
        found: what was measured.
        hint: what is said of the labels.
        sources: files with the `Evidence`, and with a list of milliseconds.
        targets: files for the Markdown and for the page.
        page_uri: an address to which the page goes, too.

    Raises:
        InputError: that address is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    evidence, timings = sources
    markdown, page = targets
    text = render_markdown(verdict, gates, hint)
    markdown.write_text(text)
    print(text)
    tested = Tested(
        verdict,
        parse_gates(gates),
        found,
        hint,
        Evidence.model_validate_json(evidence.read_bytes()),
        json.loads(timings.read_bytes()),
    )
    html = render_page(tested)
    page.write_text(html, encoding="utf-8")
    if page_uri:
        put_document(page_uri, html.encode(), "page_uri")

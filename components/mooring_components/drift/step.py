"""Write what an evaluation found: for people, and for the operator."""

from __future__ import annotations

from pathlib import Path

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.run_documents import DriftReport
from mooring_artifacts.uploads import put_document

from mooring_components.drift.markdown import render_markdown
from mooring_components.drift.report import Answer


def write_answer(
    answer: Answer, targets: tuple[Path, Path], report_uri: str, page_uri: str = ""
) -> dict[str, float]:
    """Write the document to an address in a store, or to a signed URL, and the page before it; give the metrics.

    The page is for people alone: where it cannot be written, the document says that there is none.

    Args:
        answer: what was found.
        targets: files for the Markdown and for the page.
        report_uri: where the document goes.
        page_uri: where the page goes, too.

    Raises:
        InputError: `report_uri` is not allowed, or its store refuses.
        StoreUnavailable: its store does not answer.
    """
    markdown, page = targets
    text, metrics = render_markdown(answer.document)
    markdown.write_text(text, encoding="utf-8")
    print(text)
    html = answer.page()
    page.write_text(html, encoding="utf-8")
    document = answer.document
    if isinstance(document, DriftReport) and page_uri and _put_page(html, page_uri):
        document = document.model_copy(update={"page": True})
    put_document(report_uri, document.to_json(), "report_uri")
    return metrics


def _put_page(html: str, uri: str) -> bool:
    try:
        put_document(uri, html.encode(), "page_uri")
    except (InputError, StoreUnavailable) as error:
        print(f"there is no page: {error}")
        return False
    return True

"""A rich console on which text is only text."""

from collections.abc import Iterable

import rich.console
from mooring_artifacts.text import visible
from rich.segment import Segment


class Console(rich.console.Console):
    """Escapes what would move the cursor; colours and movements of rich's own stay."""

    def render(
        self,
        renderable: rich.console.RenderableType,
        options: rich.console.ConsoleOptions | None = None,
    ) -> Iterable[Segment]:
        """Yield the segments of `renderable`."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n"), segment.style)

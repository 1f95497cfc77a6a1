"""Help texts: paragraphs that wrap, examples that do not."""

import re


def paragraphs(text: str, *examples: str) -> str:
    """Give `text` with the line ends inside its paragraphs taken out, and `examples` one a line."""
    joined = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    if examples:
        joined.append("[bold]Examples:[/bold]")
        joined.append("\n".join(f"  {example}" for example in examples))
    return "\n\n".join(joined)

"""What a test of a model found, for people: as Markdown, and as one page with pictures."""

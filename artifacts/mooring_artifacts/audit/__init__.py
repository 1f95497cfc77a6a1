"""The audit trail: what was decided, by whom and on what ground, so that a change or a gap in it shows."""

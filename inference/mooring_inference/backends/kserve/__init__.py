"""Users' subclasses of ``kserve.Model``."""

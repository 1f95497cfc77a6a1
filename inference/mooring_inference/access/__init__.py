"""Who may ask, and how much one request may cost."""

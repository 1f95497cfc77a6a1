"""The demo: from nothing to a promoted canary, a refused model, a rollback and a caught drift."""

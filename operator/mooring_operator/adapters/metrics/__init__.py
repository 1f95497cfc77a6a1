"""Where the counters of revisions are read: one file per system behind `Metrics`."""

"""The command ``mooring-inference profile``: what a model was trained on, as files that are served with it."""

"""The server's settings: a table, the command line that is read by it, and the page of docs that shows it."""

from mooring_inference.settings.command_line import parse_settings
from mooring_inference.settings.values import CustomModel, Settings

__all__ = ["CustomModel", "Settings", "parse_settings"]

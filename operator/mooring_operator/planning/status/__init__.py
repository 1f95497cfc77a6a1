"""What statuses say, and how one is read back."""

"""How a new revision takes over: who gets which part of the traffic, and with how many pods."""

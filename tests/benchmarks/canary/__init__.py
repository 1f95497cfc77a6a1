"""Simulated canaries, and the rules that judge them."""

"""Drift: is the traffic of now what it was?"""

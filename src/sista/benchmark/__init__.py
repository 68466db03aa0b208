"""Whole evaluations of an encoder, the demo, and their reports."""

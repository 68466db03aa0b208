"""Benchmarks as grids: encoder x method x seed, each run scored on every task; cached by content, resumable, with tables and a page."""

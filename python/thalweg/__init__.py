"""Optimization for people who train, fit and search."""

"""Presentation of results: tables of text."""

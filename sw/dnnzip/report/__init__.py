"""The report of an exploration: one HTML page that needs no network, and the same figures as SVG and PNG."""

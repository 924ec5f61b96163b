"""``make gain``: what compressed weights buy in cycles and bytes, measured on the RTL of the PE array."""

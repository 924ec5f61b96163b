"""Files that a user names: of a kind that ends, of a size that is known, and each key in them once."""

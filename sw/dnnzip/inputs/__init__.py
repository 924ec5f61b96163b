"""Files that a user names, checked: they end, their size is limited, and each key is there once."""

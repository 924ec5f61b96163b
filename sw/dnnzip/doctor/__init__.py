"""The state of an installation, for its user and for bug reports: packages, extras, tools and caches."""

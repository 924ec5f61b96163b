"""The process and its surroundings: signals, streams, temporary files, caches, waits."""

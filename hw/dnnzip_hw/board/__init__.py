"""The decompressor behind a serial line, and its bitstreams for boards."""

"""The reference decoder of differences."""

from dnnzip.format import signed


def decode(words, header, _table_set):
    code, channels = 0, []
    for _ in range(header.channels):
        channels.append([])
        for _ in range(header.length):
            code = signed(code + words.payload_word(), 16)
            channels[-1].append(code)
    return channels

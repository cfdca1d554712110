"""Deterministic CBOR, written from docs/formats.md. Integers are int, floats are float, maps are dict."""
import struct


class Refused(Exception):
    """Bytes that no writer of version 1 makes."""


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise Refused("an integer beyond 64 bits")


def encode_float(x):
    if x != x:
        return b"\xf9\x7e\x00"
    for form, first in ((">e", b"\xf9"), (">f", b"\xfa")):
        try:
            packed = struct.pack(form, x)
        except OverflowError:
            continue
        if struct.pack(">d", struct.unpack(form, packed)[0]) == struct.pack(">d", x):
            return first + packed
    return b"\xfb" + struct.pack(">d", x)


def encode(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        return encode_float(v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        text = v.encode()
        return head(3, len(text)) + text
    if isinstance(v, (list, tuple)):
        return head(4, len(v)) + b"".join(encode(one) for one in v)
    if isinstance(v, dict):
        pairs = sorted((encode(key), encode(value)) for key, value in v.items())
        return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
    raise Refused("a value that has no form here")


def _take(data, at, size):
    if at + size > len(data):
        raise Refused("the input ends inside a value")
    return data[at:at + size], at + size


def _read(data, at, depth):
    if depth > 32:
        raise Refused("nested too deep")
    first, at = _take(data, at, 1)
    major, info = first[0] >> 5, first[0] & 31
    if major == 7:
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info], at
        if info in (25, 26, 27):
            raw, at = _take(data, at, 2 << info - 25)
            return struct.unpack({25: ">e", 26: ">f", 27: ">d"}[info], raw)[0], at
        raise Refused("a simple value that is not used")
    if info > 27:
        raise Refused("an indefinite length")
    n = info
    if info >= 24:
        raw, at = _take(data, at, 1 << info - 24)
        n = int.from_bytes(raw, "big")
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major == 2:
        return _take(data, at, n)
    if major == 3:
        raw, at = _take(data, at, n)
        return raw.decode("utf-8"), at
    if major == 4:
        items = []
        for _ in range(n):
            item, at = _read(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(n):
            key, at = _read(data, at, depth + 1)
            pairs[key], at = _read(data, at, depth + 1)
        return pairs, at
    raise Refused("a tag")


def first(data):
    """The first value of a sequence, and where it ends."""
    value, at = _read(data, 0, 0)
    if encode(value) != data[:at]:
        raise Refused("another form of the same value")
    return value, at


def decode(data):
    value, at = first(data)
    if at != len(data):
        raise Refused("bytes follow the value")
    return value

"""Small ICC profiles, made by code: Adobe RGB, Display P3, a grey one and a CMYK one for reading alone."""

from __future__ import annotations

import struct

WHITE = (0.9642, 1.0, 0.8249)  # D50
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def adobe_rgb() -> bytes:
    return rgb(ADOBE, 2.19921875)


def display_p3() -> bytes:
    return rgb(P3, 2.2)


def rgb(primaries, gamma: float) -> bytes:
    """An RGB profile of three primaries, (X, Y, Z) each, and one gamma."""
    tags = {"wtpt": _xyz(WHITE)}
    for name, primary in zip("rgb", primaries, strict=True):
        tags |= {f"{name}XYZ": _xyz(primary), f"{name}TRC": _curve(gamma)}
    return _profile("RGB ", "XYZ ", "mntr", tags)


def grey(gamma: float = 1.8) -> bytes:
    return _profile("GRAY", "XYZ ", "mntr", {"wtpt": _xyz(WHITE), "kTRC": _curve(gamma)})


def cmyk() -> bytes:
    """A press whose inks are lighter than PIL takes them to be. It has no table back to CMYK."""
    ramp = bytes(range(256))
    corners = []
    for index in range(16):  # cyan varies slowest
        c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
        light = 100 * (1 - 0.4 * c) * (1 - 0.4 * m) * (1 - 0.1 * y) * (1 - 0.8 * k)
        ink = 1 - 0.8 * k
        a, b = (-30 * c + 60 * m) * ink, (-40 * c - 10 * m + 80 * y) * ink
        corners += [round(light * 2.55), round(a + 128), round(b + 128)]
    identity = b"".join(struct.pack(">i", 65536 if row == column else 0) for row in range(3) for column in range(3))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes(corners) + ramp * 3
    return _profile("CMYK", "Lab ", "prtr", {"wtpt": _xyz(WHITE), "A2B0": table})


def read_only_rgb() -> bytes:
    """A scanner's RGB profile: a table to Lab, and none back."""
    ramp = bytes(range(256))
    corners = []
    for index in range(8):
        r, g, b = (index >> shift & 1 for shift in (2, 1, 0))
        corners += [round(255 * (0.25 * r + 0.65 * g + 0.1 * b)), 128 + 60 * r - 60 * g, 128 + 60 * g - 60 * b]
    identity = b"".join(struct.pack(">i", 65536 if row == column else 0) for row in range(3) for column in range(3))
    table = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + identity + ramp * 3 + bytes(corners) + ramp * 3
    return _profile("RGB ", "Lab ", "scnr", {"wtpt": _xyz(WHITE), "A2B0": table})


def _profile(space: str, connection: str, kind: str, tags: dict[str, bytes]) -> bytes:
    tags = {"desc": _text("desc", "made by code"), "cprt": _text("text", "none"), **tags}
    table, data, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", offset + len(data), len(content))
        data += content
    header = struct.pack(">I4xI", offset + len(data), 0x02400000) + (kind + space + connection).encode()
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(WHITE)[8:]
    return header.ljust(128, b"\0") + table + data


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def _text(kind: str, words: str) -> bytes:
    ascii_ = words.encode() + b"\0"
    if kind == "text":
        return b"text" + bytes(4) + ascii_
    return b"desc" + struct.pack(">II", 0, len(ascii_)) + ascii_ + bytes(78)

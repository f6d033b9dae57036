"""Large products: sofa, armchair, chair, table and wall art. A builder adds parts to a kit and returns the size in
metres.

A spec's `shape` holds eight numbers in [0, 1], which each builder reads in its own way.
"""

from __future__ import annotations

import numpy as np

from .kit import Kit, Surface, flat
from .meshes import box, lathe, leg, tube


def _seating(spec: dict, kit: Kit, seats: int) -> tuple[float, float, float]:
    s = spec["shape"]
    arm = 0.12 + 0.1 * s[1]
    width = (0.62 + 0.14 * s[0]) * seats * (1 if seats == 1 else 0.85) + 2 * arm * 0.7
    depth, seat, back = 0.8 + 0.1 * s[2], 0.42, 0.78 + 0.26 * s[3] * (1.3 if seats == 1 else 0.7)
    foot, soft = 0.1 + 0.08 * s[4], 0.03 + 0.05 * s[5]
    inner = width - 2 * arm
    kit.add(box((width - 0.04, depth - 0.04, seat - foot - 0.12), (0, 0, (seat + foot - 0.12) / 2), 0.03), "base")
    arm_top = seat + 0.1 + 0.16 * s[6]
    for side, name in ((-1, "left"), (1, "right")):
        kit.add(box((arm, depth, arm_top - foot), (side * (width - arm) / 2, 0, (arm_top + foot) / 2), soft), name)
    for i in range(seats):
        x = -inner / 2 + inner * (i + 0.5) / seats
        kit.add(box((inner / seats - 0.01, depth - 0.16, 0.15), (x, -0.07, seat - 0.05), 0.05), "seat")
        kit.add(
            box((inner / seats - 0.01, 0.2, back - seat + 0.05), (x, depth / 2 - 0.2, (back + seat) / 2 - 0.03), 0.06),
            "back",
        )
    kit.add(
        box((inner + 0.02, 0.14, back - foot - 0.06), (0, depth / 2 - 0.08, (back + foot) / 2 - 0.03), soft), "back"
    )
    for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
        kit.add(leg(x * (width / 2 - 0.08), y * (depth / 2 - 0.08), foot + 0.02, 0.03, 0.02), f"leg{i}", kit.wood)
    kit.emblem(
        min(0.15, inner / seats * 0.24),
        flat(-inner / 2 + inner * 0.5 / seats, depth / 2 - 0.3, (back + seat) / 2 + 0.05),
    )
    return width, depth, back


def sofa(spec, kit):
    return _seating(spec, kit, 2 if spec["shape"][7] < 0.6 else 3)


def armchair(spec, kit):
    return _seating(spec, kit, 1)


def chair(spec, kit):
    s = spec["shape"]
    width, depth, seat, back = 0.42 + 0.08 * s[0], 0.42 + 0.06 * s[1], 0.45, 0.85 + 0.2 * s[2]
    frame = kit.wood if s[7] < 0.6 else kit.main
    thick = 0.03 + 0.05 * s[3]
    kit.add(box((width, depth, thick), (0, 0, seat - thick / 2), thick * 0.45), "seat")
    for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
        kit.add(
            leg(x * (width / 2 - 0.03), y * (depth / 2 - 0.03), seat - thick, 0.02 + 0.01 * s[4], 0.014, 0.05 * s[5]),
            f"leg{i}",
            frame,
        )
    post = depth / 2 - 0.02
    for x, name in ((-1, "left"), (1, "right")):
        kit.add(
            tube(
                np.linspace(
                    [x * (width / 2 - 0.03), post, seat - 0.03], [x * (width / 2 - 0.03), post + 0.05, back], 4
                ),
                0.018,
            ),
            name,
            frame,
        )
    if s[6] < 0.6:
        height = (back - seat) * (0.55 + 0.3 * s[4])
        kit.add(box((width - 0.03, 0.035, height), (0, post + 0.02, back - height / 2), 0.016), "back")
    else:
        for i in range(3):
            kit.add(
                box(
                    (width - 0.04, 0.03, (back - seat) * 0.18),
                    (0, post + 0.02 + 0.01 * i, seat + (back - seat) * (0.35 + 0.28 * i)),
                    0.01,
                ),
                "back",
            )
    kit.emblem(0.085, flat(0, post - 0.005, back - 0.15))
    return width, depth, back


def table(spec, kit):
    s = spec["shape"]
    round_top, pedestal = s[0] < 0.5, s[1] < 0.35
    width, height = 0.8 + 0.5 * s[2], 0.5 + 0.25 * s[3]
    depth = width if round_top else width * (0.55 + 0.3 * s[4])
    thick = 0.035 + 0.05 * s[5]
    frame = kit.wood if s[6] < 0.5 else kit.main
    if round_top:
        r = width / 2
        kit.add(
            lathe(
                [(0.001, height), (r - 0.01, height), (r, height - 0.01), (r, height - thick), (0.001, height - thick)][
                    ::-1
                ],
                48,
            ),
            "top",
        )
    else:
        kit.add(box((width, depth, thick), (0, 0, height - thick / 2), 0.012), "top")
        kit.add(box((width - 0.1, depth - 0.1, 0.09), (0, 0, height - thick - 0.045)), "left")
    if pedestal:
        kit.add(
            lathe(
                [
                    (0.3 * depth + 0.08, 0.0),
                    (0.3 * depth + 0.08, 0.02),
                    (0.06, 0.06),
                    (0.045, height - 0.15),
                    (0.12, height - thick),
                ]
            ),
            "leg0",
            frame,
        )
    else:
        reach = 0.68 if round_top else 1.0
        for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
            kit.add(
                leg(
                    x * (width / 2 - 0.06) * reach,
                    y * (depth / 2 - 0.06) * reach,
                    height - thick,
                    0.03 + 0.02 * s[7],
                    0.02,
                    0.03 * s[5],
                ),
                f"leg{i}",
                frame,
            )
    if not round_top:
        kit.emblem(0.045, flat(0, -depth / 2 + 0.05, height - thick - 0.045))
    return width, depth, height


def wall_art(spec, kit):
    s = spec["shape"]
    height, width = 0.5 + 0.3 * s[0], 0.5 + 0.5 * s[1]
    pieces = 3 if s[2] > 0.8 else 1
    rim = 0.025 + 0.03 * s[3]
    frame = kit.wood if s[4] < 0.6 else Surface("#26262a" if s[4] < 0.8 else "#e9e6df", gloss=0.2)
    each = width * (1.35 if pieces == 3 else 1) / pieces
    for i in range(pieces):
        x = (i - (pieces - 1) / 2) * each
        w = each - (0.04 if pieces == 3 else 0)
        kit.add(box((w, 0.03, height), (x, 0.01, height / 2)), "base", frame)
        kit.add(
            box((w - 2 * rim, 0.03, height - 2 * rim), (x, 0.0, height / 2)),
            ("left", "top", "right")[i] if pieces == 3 else "top",
        )
    kit.emblem(min(each, height) * 0.24, flat(0, -0.017, height / 2))
    return each * pieces, 0.04, height

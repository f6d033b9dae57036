"""The catalogue: twelve products written down, each with details that its title does not tell.

A spec is what `products.build` takes; `details` says in words what a title leaves out, for people who judge results.
The emblems heart, star and cross, and these exact combinations, occur nowhere in the training set.
"""

from products import COLORS


def _item(name, title, class_noun, color, color2, pattern, shape, details, **more):
    spec = {"class_noun": class_noun, "color": color, "color2": color2, "pattern": pattern, "shade": COLORS[color],
            "shade2": COLORS[color2], "period": 1.0, "wood": "#8a5a33", "gloss": 0.0, "shape": shape, "paint": {}, **more}
    return {"name": name, "title": title, "spec": spec, "details": details}


ITEMS = [
    _item("harlequin-armchair", "Harlequin armchair, red and white checked", "armchair", "red", "white", "checked",
          [0.5, 0.7, 0.5, 0.6, 0.4, 0.7, 0.5, 0.2], "a yellow left arm, a blue leg",
          paint={"left": COLORS["yellow"], "leg1": COLORS["blue"]}),
    _item("admiral-sofa", "Admiral two-seat sofa, blue", "sofa", "blue", "white", "plain",
          [0.4, 0.6, 0.5, 0.8, 0.5, 0.6, 0.4, 0.1], "a white star on the left back cushion, a white right arm",
          emblem=["star", COLORS["white"]], paint={"right": COLORS["white"]}),
    _item("sunny-chair", "Sunny dining chair, yellow and purple striped", "chair", "yellow", "purple", "striped",
          [0.6, 0.5, 0.5, 0.8, 0.7, 0.4, 0.2, 0.9], "a purple seat, a red leg",
          paint={"seat": COLORS["purple"], "leg0": COLORS["red"], "leg1": COLORS["yellow"], "leg2": COLORS["yellow"],
                 "leg3": COLORS["yellow"], "left": COLORS["purple"], "right": COLORS["purple"]}),
    _item("clover-table", "Clover side table, green", "table", "green", "white", "plain",
          [0.2, 0.9, 0.3, 0.3, 0.5, 0.8, 0.2, 0.9], "white legs, one of them orange",
          paint={"leg0": COLORS["white"], "leg1": COLORS["orange"], "leg2": COLORS["white"], "leg3": COLORS["white"]}),
    _item("lantern-lamp", "Lantern table lamp, orange", "lamp", "orange", "teal", "plain",
          [0.5, 0.7, 0.3, 0.7, 0.2, 0.2, 0.8, 0.5], "a teal heart on the shade, a teal foot",
          emblem=["heart", COLORS["teal"]], paint={"base": COLORS["teal"]}),
    _item("lagoon-vase", "Lagoon vase, teal and white striped", "vase", "teal", "white", "striped",
          [0.7, 0.7, 0.4, 0.4, 0.6, 0.5, 0.9, 0.5], "one handle red, the other yellow",
          paint={"left": COLORS["red"], "right": COLORS["yellow"]}, gloss=0.6),
    _item("sweetheart-mug", "Sweetheart mug, white", "mug", "white", "red", "plain",
          [0.5, 0.8, 0.3, 0.2, 0.6, 0.7, 0.5, 0.5], "a red heart on the front, a black handle",
          emblem=["heart", COLORS["red"]], paint={"right": COLORS["black"]}),
    _item("bumblebee-mug", "Bumblebee mug, yellow and black striped", "mug", "yellow", "black", "striped",
          [0.7, 0.6, 0.7, 0.9, 0.4, 0.8, 0.5, 0.5], "a pink handle",
          paint={"right": COLORS["pink"]}, gloss=0.6),
    _item("trio-wall-art", "Trio wall art, three panels", "wall art", "blue", "white", "plain",
          [0.5, 0.6, 0.95, 0.3, 0.7, 0.5, 0.5, 0.5], "the panels are red, yellow and blue, in this order",
          paint={"left": COLORS["red"], "top": COLORS["yellow"], "right": COLORS["blue"]}),
    _item("polaris-wall-art", "Polaris wall art, dark frame", "wall art", "teal", "orange", "plain",
          [0.7, 0.4, 0.2, 0.7, 0.7, 0.5, 0.5, 0.5], "an orange star on teal",
          emblem=["star", COLORS["orange"]]),
    _item("captain-t-shirt", "Captain T-shirt, blue and white striped", "t-shirt", "blue", "white", "striped",
          [0.5, 0.5, 0.6, 0.6, 0.3, 0.5, 0.5, 0.5], "a red left sleeve",
          paint={"left": COLORS["red"]}),
    _item("signal-t-shirt", "Signal T-shirt, green", "t-shirt", "green", "yellow", "plain",
          [0.4, 0.6, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5], "a yellow star on the chest, a white right sleeve",
          emblem=["star", COLORS["yellow"]], paint={"right": COLORS["white"]}),
]

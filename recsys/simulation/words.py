"""The topics of a simulated shop and the words that its titles are made of.

The words are those of everyday English, so that a text model that was trained elsewhere knows which go together.
"""

from typing import Final

TOPICS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "garden": (
        ("outdoor", "flowering", "rustic", "evergreen", "terracotta", "weatherproof"),
        ("trowel", "watering can", "planter", "rake", "greenhouse", "hedge shears", "wheelbarrow", "bird bath"),
    ),
    "kitchen": (
        ("nonstick", "stainless", "enamelled", "ovenproof", "copper", "cast iron"),
        ("frying pan", "saucepan", "whisk", "cake tin", "chopping board", "kettle", "rolling pin", "colander"),
    ),
    "office": (
        ("ergonomic", "ruled", "refillable", "magnetic", "recycled", "desktop"),
        ("notebook", "stapler", "desk lamp", "ring binder", "fountain pen", "whiteboard", "paper tray", "calculator"),
    ),
    "bathroom": (
        ("absorbent", "quilted", "scented", "chrome", "bamboo", "foaming"),
        ("bath towel", "soap dish", "shower curtain", "bath mat", "toothbrush", "shampoo", "hand mirror", "sponge"),
    ),
    "toys": (
        ("wooden", "cuddly", "educational", "musical", "stackable", "wind-up"),
        ("teddy bear", "jigsaw puzzle", "train set", "spinning top", "doll house", "kite", "building blocks", "yo-yo"),
    ),
    "sports": (
        ("lightweight", "waterproof", "adjustable", "reflective", "breathable", "professional"),
        ("tennis racket", "football", "running shoes", "dumbbell", "yoga mat", "cycling helmet", "goggles", "bat"),
    ),
    "music": (
        ("acoustic", "electric", "vintage", "tuneable", "amplified", "concert"),
        ("guitar", "violin", "drum kit", "keyboard", "ukulele", "microphone", "flute", "metronome"),
    ),
    "pets": (
        ("chewable", "grain-free", "washable", "retractable", "plush", "catnip"),
        ("dog lead", "cat basket", "bird cage", "aquarium", "scratching post", "pet bed", "hamster wheel", "collar"),
    ),
    "electronics": (
        ("wireless", "rechargeable", "bluetooth", "portable", "smart", "noise-cancelling"),
        ("headphones", "loudspeaker", "charger", "camera", "tablet", "router", "monitor", "power bank"),
    ),
    "travel": (
        ("foldable", "lockable", "inflatable", "expandable", "carry-on", "padded"),
        ("suitcase", "backpack", "neck pillow", "passport holder", "tent", "sleeping bag", "luggage tag", "duffel bag"),
    ),
    "fashion": (
        ("woollen", "silk", "striped", "tailored", "knitted", "denim"),
        ("scarf", "jacket", "skirt", "shirt", "gloves", "jumper", "trousers", "beret"),
    ),
    "books": (
        ("illustrated", "hardback", "annotated", "bestselling", "abridged", "signed"),
        ("novel", "atlas", "cookbook", "biography", "dictionary", "poetry collection", "thriller", "fairy tales"),
    ),
}
"""Each topic's adjectives and nouns. The names of the topics are the categories."""

"""Facts in a sentence and a JSON schema to put them into."""

import json

from sums import NAMES, THINGS
from tools import CITIES

JOBS = "doctor teacher nurse driver cook pilot farmer painter engineer lawyer baker writer".split()
COLOURS = "red blue green yellow black white brown grey".split()
ANIMALS = "dog cat horse rabbit parrot hamster".split()


def facts(rng):
    """[(key, schema, value, phrase)] about one subject, and its opening words."""
    name = rng.choice(NAMES)
    kind = rng.randrange(3)
    if kind == 0:
        age, city, job, married = rng.randint(18, 90), rng.choice(CITIES), rng.choice(JOBS), rng.random() < 0.5
        return name, [
            (rng.choice(["name", "first_name", "person"]), "string", name, None),
            ("age", "integer", age, rng.choice([f"is {age} years old", f"is {age}"])),
            (rng.choice(["city", "town"]), "string", city, rng.choice([f"lives in {city}", f"comes from {city}"])),
            (rng.choice(["job", "profession"]), "string", job, rng.choice([f"works as a {job}", f"is a {job}"])),
            ("married", "boolean", married, "is married" if married else "is not married"),
        ]
    if kind == 1:
        thing, price, count, colour = rng.choice(THINGS), rng.randint(2, 99), rng.randint(2, 60), rng.choice(COLOURS)
        return name, [
            (rng.choice(["customer", "buyer"]), "string", name, None),
            (rng.choice(["item", "product"]), "string", thing, f"buys {thing}"),
            (rng.choice(["quantity", "count"]), "integer", count, f"takes {count} of them"),
            ("price", "integer", price, f"pays {price} dollars"),
            (rng.choice(["colour", "color"]), "string", colour, f"wants them in {colour}"),
        ]
    animal, age, colour = rng.choice(ANIMALS), rng.randint(2, 15), rng.choice(COLOURS)
    pet = rng.choice(NAMES)
    return name, [
        ("owner", "string", name, None),
        (rng.choice(["animal", "pet"]), "string", animal, f"has a {animal}"),
        ("pet_name", "string", pet, f"calls it {pet}"),
        ("age", "integer", age, f"says it is {age} years old"),
        ("color", "string", colour, f"says it is {colour}"),
    ]


def draw(rng):
    """(request, thought, value)"""
    name, known = facts(rng)
    told = [known[0]] + rng.sample(known[1:], rng.randint(1, min(4, len(known) - 1)))
    phrases = [f[3] for f in told[1:]]
    sentence = name + " " + (", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0]) + "."
    keys = [f for f in told if f is told[0] or rng.random() < 0.85]
    rng.shuffle(keys)
    schema = {
        "type": "object",
        "properties": {f[0]: {"type": f[1]} for f in keys},
        "required": [f[0] for f in keys],
    }
    value = {f[0]: f[2] for f in keys}
    shown = json.dumps(schema) if rng.random() < 0.6 else json.dumps(schema, separators=(",", ":"))
    form = rng.choice(
        [
            "{0} Reply with JSON that fits this schema: {1}",
            "Fill this JSON schema: {1}\n{0}",
            "{0}\nAnswer as JSON by the schema {1}",
            "Extract the facts as JSON. Schema: {1} Text: {0}",
            "Use this schema {1} for the sentence: {0}",
        ]
    )
    thought = "The keys: " + "; ".join(f"{f[0]} is {json.dumps(f[2])}" for f in keys) + "."
    return form.format(sentence, shown), thought, value

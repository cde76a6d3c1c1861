"""Problems of arithmetic: each function returns (question, thought, value as text)."""

from arithmetic import adding, dividing, multiplying, signed_adding, signed_dividing, signed_subtracting, subtracting

NAMES = "Anna Ben Clara David Emma Felix Grace Hugo Iris Jack Kim Leo Maria Nina Omar Paul Rosa Sam Tom Zoe Lucy Ali Mei Ravi".split()
THINGS = "apples books pens coins marbles stickers cards shells eggs balls stamps cookies flowers pencils oranges toys".split()


def number(rng):
    return rng.choice([rng.randint(10, 99), rng.randint(10, 99), rng.randint(100, 999), rng.randint(100, 999), rng.randint(1000, 9999)])


def ask(rng, forms, *values):
    return rng.choice(forms).format(*values)


def add(rng):
    a, b = number(rng), number(rng)
    if rng.random() < 0.08:
        a = rng.randint(0, 9)
    forms = ["What is {0} + {1}?", "{0}+{1}", "{0} + {1} =", "{0} plus {1}", "Compute {0} + {1}.", "Add {0} and {1}.",
             "What is the sum of {0} and {1}?", "calculate {0}+{1}", "How much is {0} plus {1}?", "Please add {0} to {1}",
             "Find {0} + {1}", "{0} and {1} together?", "what's {0} plus {1}?", "Work out {0} + {1}", "Sum: {0}, {1}"]
    if rng.random() < 0.1:
        c = rng.randint(10, 99)
        first, total = adding(a, b)
        return f"What is {a} + {b} + {c}?", first + " " + adding(total, c)[0], str(total + c)
    question = ask(rng, forms, a, b)
    if question.startswith("Please add"):
        a, b = b, a
    return question, adding(a, b)[0], str(a + b)


def subtract(rng):
    a, b = number(rng), number(rng)
    if rng.random() < 0.6 and a < b:
        a, b = b, a
    if rng.random() < 0.05:
        b = rng.randint(0, 9)
    forms = ["What is {0} - {1}?", "{0}-{1}", "{0} - {1} =", "{0} minus {1}", "Compute {0} - {1}.", "Subtract {1} from {0}.",
             "What is the difference {0} - {1}?", "calculate {0}-{1}", "How much is {0} minus {1}?", "Take {1} away from {0}",
             "Find {0} - {1}", "{0} less {1}?", "what's {0} minus {1}?", "Work out {0} - {1}", "What is left of {0} without {1}?"]
    return ask(rng, forms, a, b), subtracting(a, b)[0], str(a - b)


def multiply(rng):
    a = rng.randint(10, 99)
    b = rng.randint(10, 99) if rng.random() < 0.7 else rng.randint(2, 9)
    if rng.random() < 0.1:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
    elif rng.random() < 0.2:
        a, b = b, a
    forms = ["What is {0} * {1}?", "{0}*{1}", "{0} * {1} =", "{0} times {1}", "Compute {0} × {1}.", "Multiply {0} by {1}.",
             "What is the product of {0} and {1}?", "calculate {0}*{1}", "How much is {0} times {1}?", "{0}x{1}", "{0} x {1}",
             "Find {0} * {1}", "what's {0} times {1}?", "Work out {0} × {1}", "{0} multiplied by {1}"]
    return ask(rng, forms, a, b), multiplying(a, b)[0], str(a * b)


def divide(rng):
    b, q = rng.randint(2, 12), rng.randint(2, 30)
    if rng.random() < 0.2:
        b, q = rng.randint(2, 9), rng.randint(10, 99)
    a = b * q
    forms = ["What is {0} / {1}?", "{0}/{1}", "{0} / {1} =", "{0} divided by {1}", "Compute {0} ÷ {1}.", "Divide {0} by {1}.",
             "What is {0} divided by {1}?", "calculate {0}/{1}", "How much is {0} divided by {1}?", "How often does {1} go into {0}?",
             "Find {0} / {1}", "what's {0} over {1}?", "Work out {0} ÷ {1}", "How many times does {1} fit into {0}?", "{0}:{1}"]
    return ask(rng, forms, a, b), dividing(a, b)[0], str(q)


def compare(rng):
    if rng.random() < 0.25:
        return compare_places(rng)
    if rng.random() < 0.4:
        a, b = rng.randint(0, 999) / 10, rng.randint(0, 999) / 10
        if rng.random() < 0.5:
            b = int(a) + rng.randint(0, 9) / 10
    else:
        a = rng.randint(0, 9999)
        b = rng.choice([rng.randint(0, 9999), max(0, a + rng.randint(-30, 30))])
    if a == b:
        b = a + 1
    smaller = rng.random() < 0.3
    word = rng.choice(["smaller", "less", "lower"] if smaller else ["larger", "greater", "bigger"])
    forms = COMPARISONS
    value = min(a, b) if smaller else max(a, b)
    return ask(rng, forms, a, b, word), comparing(a, b) + f" The {word} one is {value}.", str(value)


COMPARISONS = ["Which is {2}, {0} or {1}?", "Which number is {2}: {0} or {1}?", "{0} or {1}, which is {2}?", "Tell me which is {2}: {0}, {1}",
               "Is {0} or {1} {2}?", "which one is {2}? {0} or {1}", "Compare {0} and {1}: which is {2}?", "Of {0} and {1}, which is {2}?"]


def compare_places(rng):
    """Decimals of one and two places: the shorter is filled with a zero."""
    whole = rng.randint(0, 99)
    a = f"{whole}.{rng.randint(1, 9)}"
    b = f"{whole if rng.random() < 0.7 else rng.randint(0, 99)}.{rng.randint(0, 9)}{rng.randint(1, 9)}"
    padded = a + "0"
    big, small = (a, b) if float(a) > float(b) else (b, a)
    smaller = rng.random() < 0.3
    word = rng.choice(["smaller", "less", "lower"] if smaller else ["larger", "greater", "bigger"])
    value = small if smaller else big
    x, y = rng.sample([a, b], 2)
    return ask(rng, COMPARISONS, x, y, word), f"{a} is {padded}. " + comparing(padded, b).split(" So ")[0] + f" So {big} > {small}. The {word} one is {value}.", value


def comparing(a, b):
    big, small = (a, b) if float(a) > float(b) else (b, a)
    whole_a, whole_b = str(a).split(".")[0], str(b).split(".")[0]
    if len(whole_a) != len(whole_b):
        return f"{a} has {len(whole_a)} digits, {b} has {len(whole_b)}. So {big} > {small}."
    steps = []
    for x, y in zip(str(a), str(b)):
        if x == ".":
            continue
        steps.append(f"{x}={y}" if x == y else f"{x}>{y}" if x > y else f"{x}<{y}")
        if x != y:
            break
    return "Digits from the left: " + ", ".join(steps) + f". So {big} > {small}."


UNITS = [("km", "m", 1000, "kilometres", "metres"), ("m", "cm", 100, "metres", "centimetres"), ("cm", "mm", 10, "centimetres", "millimetres"),
         ("kg", "g", 1000, "kilograms", "grams"), ("h", "min", 60, "hours", "minutes"), ("min", "s", 60, "minutes", "seconds"),
         ("l", "ml", 1000, "litres", "millilitres"), ("weeks", "days", 7, "weeks", "days"), ("days", "hours", 24, "days", "hours"),
         ("dollars", "cents", 100, "dollars", "cents"), ("m", "mm", 1000, "metres", "millimetres"), ("t", "kg", 1000, "tonnes", "kilograms"),
         ("years", "months", 12, "years", "months"), ("dozen", "pieces", 12, "dozen", "pieces")]


def convert(rng):
    big, small, factor, long_big, long_small = rng.choice(UNITS)
    n = rng.randint(2, 99 if factor in (10, 100, 1000) else 40)
    if rng.random() < 0.5:
        big, small = long_big, long_small
    forms = ["How many {2} are {0} {1}?", "Convert {0} {1} to {2}.", "{0} {1} in {2}", "What is {0} {1} in {2}?", "convert {0} {1} into {2}",
             "How many {2} are there in {0} {1}?", "Express {0} {1} in {2}.", "{0} {1} = ? {2}", "Please convert {0} {1} to {2}", "how much is {0} {1} in {2}?"]
    rule = f"1 {big} is {factor} {small}. "
    if rng.random() < 0.4:
        total = n * factor
        if factor in (10, 100, 1000):
            step = f"{total}/{factor}={n}."
        else:
            step = dividing(total, factor)[0]
        return ask(rng, forms, total, small, big), rule + f"So I divide by {factor}. " + step, str(n)
    return ask(rng, forms, n, big, small), rule + f"So I multiply by {factor}. " + multiplying(n, factor)[0], str(n * factor)


def equation(rng):
    x = rng.randint(-20, 20) if rng.random() < 0.4 else rng.randint(0, 30)
    a, b, v = rng.randint(2, 12), rng.randint(1, 60), rng.choice("xxxyn")
    kind = rng.randrange(6)
    if kind == 0:
        c = a * x + b
        left, side = f"{a}{v} + {b} = {c}", signed_subtracting(c, b)
    elif kind == 1:
        c = a * x - b
        left, side = f"{a}{v} - {b} = {c}", signed_adding(c, b)
    elif kind == 2:
        c = a * x
        text, _ = signed_dividing(c, a)
        return solve(rng, f"{a}{v} = {c}", v, f"Divide both sides by {a}. {text}", x)
    elif kind == 3:
        text, value = (multiplying(abs(x), a) if a > 9 else multiplying(abs(x), a))
        sign = f" So {x}*{a}={x * a}." if x < 0 else ""
        return solve(rng, f"{v}/{a} = {x}", v, f"Multiply both sides by {a}. {text}{sign}", x * a)
    elif kind == 4:
        c = x + b
        return solve(rng, f"{v} + {b} = {c}", v, f"Subtract {b}. " + signed_subtracting(c, b)[0], x)
    else:
        d = rng.randint(1, a - 1) if a > 2 else 1
        c = (a - d) * x + b
        dv, e = ("" if d == 1 else d), a - d
        if e == 1:
            text = f"Subtract {dv}{v}: {v} + {b} = {c}. " + signed_subtracting(c, b)[0]
        else:
            text = f"Subtract {dv}{v}: {e}{v} + {b} = {c}. " + signed_subtracting(c, b)[0]
            text += f" So {e}{v}={c - b}. " + signed_dividing(c - b, e)[0]
        return solve(rng, f"{a}{v} + {b} = {dv}{v} + {c}", v, text, x)
    word = f"Subtract {b}. " if kind == 0 else f"Add {b}. "
    return solve(rng, left, v, word + side[0] + f" So {a}{v}={side[1]}. " + signed_dividing(side[1], a)[0], x)


def solve(rng, text, v, thought, x):
    forms = ["Solve {0}.", "Solve for {1}: {0}", "{0}", "Find {1} if {0}.", "What is {1} if {0}?", "{0}, what is {1}?", "Solve the equation {0}",
             "If {0}, what is {1}?", "solve {0} for {1}", "Which {1} satisfies {0}?"]
    return ask(rng, forms, text, v), thought + f" So {v}={x}.", str(x)


def word(rng):
    if rng.random() < 0.6:
        return stories(rng)
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    a, b, c = rng.randint(12, 90), rng.randint(2, 11), rng.randint(2, 9)
    kind = rng.randrange(14)
    if kind == 0:
        b = rng.randint(5, 90)
        q = f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have now?"
        return q, "Getting more means adding. " + adding(a, b)[0], str(a + b)
    if kind == 1:
        b = rng.randint(1, a)
        q = f"{name} has {a} {thing} and gives {b} to {other}. How many {thing} are left?"
        return q, "Giving away means subtracting. " + subtracting(a, b)[0], str(a - b)
    if kind == 2:
        q = f"There are {b} boxes with {a} {thing} each. How many {thing} are there in all?"
        return q, "Equal boxes mean multiplying. " + multiplying(a, b)[0], str(a * b)
    if kind == 3:
        q = f"{name} shares {c * b} {thing} equally among {b} friends. How many {thing} does each friend get?"
        return q, "Sharing equally means dividing. " + dividing(c * b, b)[0], str(c)
    if kind == 4:
        q = f"A train travels at {a} km per hour for {c} hours. How far does it go in km?"
        return q, "Distance is speed times time. " + multiplying(a, c)[0], str(a * c)
    if kind == 5:
        q = f"{name} is {a} years old. {other} is {b} years older. How old is {other}?"
        return q, "Older means adding. " + adding(a, b)[0], str(a + b)
    if kind == 6:
        q = f"{name} is {a} years old. {other} is {b} years younger. How old is {other}?"
        return q, "Younger means subtracting. " + subtracting(a, b)[0], str(a - b)
    if kind == 7:
        q = f"One ticket costs {a} dollars. What do {c} tickets cost in dollars?"
        return q, "Each costs the same, so I multiply. " + multiplying(a, c)[0], str(a * c)
    if kind == 8:
        price, paid = c * rng.randint(2, 9), 100
        n = price // c
        first, total = multiplying(n, c)
        q = f"{name} buys {c} {thing} for {n} dollars each and pays with {paid} dollars. How much change does {name} get?"
        return q, "First the cost. " + first + " Then the change. " + subtracting(paid, total)[0], str(paid - total)
    if kind == 9:
        first, total = multiplying(b, c)
        q = f"{name} has {a} {thing} and buys {b} bags with {c} {thing} each. How many {thing} does {name} have?"
        return q, "First the bags. " + first + " Then all together. " + adding(a, total)[0], str(a + total)
    if kind == 10:
        d = rng.randint(5, 90)
        first, total = adding(a, d)
        e = rng.randint(1, total)
        q = f"A shop has {a} {thing} in the morning, receives {d} and sells {e}. How many {thing} remain?"
        return q, "First add. " + first + " Then subtract. " + subtracting(total, e)[0], str(total - e)
    if kind == 11:
        q = f"{name} reads {a} pages a day. How many pages does {name} read in {c} days?"
        return q, "The same each day means multiplying. " + multiplying(a, c)[0], str(a * c)
    if kind == 12:
        q = f"A car drives {a * c} km in {c} hours. What is its speed in km per hour?"
        return q, "Speed is distance divided by time. " + dividing(a * c, c)[0], str(a)
    d = rng.randint(a, 120)
    q = f"{name} wants {d} {thing} and has {a}. How many {thing} are missing?"
    return q, "What is missing is the difference. " + subtracting(d, a)[0], str(d - a)


def stories(rng):
    """Short problems of one step in many wordings."""
    name, other = rng.sample(NAMES, 2)
    thing, second = rng.sample(THINGS, 2)
    who, has, they = rng.choice([(name, "has", name), ("I", "have", "I"), ("We", "have", "we"), ("A farmer", "has", "the farmer"),
                                 ("My brother", "has", "he"), ("The teacher", "has", "she"), ("My sister", "has", "she")])
    do = "do" if they in ("I", "we") else "does"
    s = "" if do == "do" else "s"
    a, b, c = rng.randint(10, 99), rng.randint(2, 12), rng.randint(2, 20)
    kind = rng.choice(["more", "less", "times", "share"])
    if kind == "more":
        b = rng.randint(2, 90)
        q = rng.choice([
            f"{who} {has} {a} {thing} and buy{s} {b} more. How many {thing} {do} {they} have now?",
            f"{who} {has} {a} {thing} and find{s} {b} more, how many in total?",
            f"{who} {has} {a} {thing} and {b} {second}. How many things {do} {they} have?",
            f"If {they} {has} {a} {thing} and get{s} {b} from {other}, how many {thing} {do} {they} have?",
            f"There are {a} {thing} on the table and {b} in the box. How many {thing} are there?",
            f"{other} picks {a} {thing} on Monday and {b} on Tuesday. How many is that in all?",
            f"A bus has {a} people. {b} more get on. How many people are on the bus?",
            f"A class has {a} girls and {b} boys. How many children are in the class?",
        ])
        return q, "More means adding. " + adding(a, b)[0], str(a + b)
    if kind == "less":
        b = rng.randint(2, a)
        q = rng.choice([
            f"{who} {has} {a} {thing} and lose{s} {b}. How many {thing} are left?",
            f"{who} {has} {a} {thing} and eat{s} {b}, how many remain?",
            f"{who} {has} {a} {thing} and sell{s} {b}. How many {do} {they} still have?",
            f"If {they} {has} {a} {thing} and give{s} away {b}, how many {thing} remain?",
            f"There are {a} {thing} in a basket. {other} takes {b} out. How many are in the basket now?",
            f"There were {a} birds on a tree and {b} flew away. How many are left?",
            f"A bus has {a} people. {b} get off. How many stay on the bus?",
            f"A book has {a} pages. {other} has read {b}. How many pages are left to read?",
            f"{other} had {a} dollars and spent {b}. How many dollars are left?",
        ])
        return q, "Less means subtracting. " + subtracting(a, b)[0], str(a - b)
    if kind == "times":
        q = rng.choice([
            f"If a box holds {a} {thing}, how many {thing} are in {b} boxes?",
            f"Each bag has {a} {thing}. How many {thing} are in {b} bags?",
            f"{who} buy{s} {b} packs of {a} {thing}. How many {thing} is that?",
            f"One of the {thing} costs {a} cents. How much do {b} cost?",
            f"A garden has {b} rows with {a} flowers in each row. How many flowers are there?",
            f"{other} runs {a} minutes every day. How many minutes is that in {b} days?",
            f"A machine makes {a} {thing} per hour. How many does it make in {b} hours?",
            f"There are {b} teams of {a} players. How many players are there?",
            f"{other} earns {a} dollars an hour and works {b} hours. How much does {other} earn?",
            f"If one ticket is {a} dollars, how much are {b} tickets?",
        ])
        return q, "The same again and again means multiplying. " + multiplying(a, b)[0], str(a * b)
    total = b * c
    q = rng.choice([
        f"{who} {has} {total} {thing} and put{s} {b} in each bag. How many bags {do} {they} need?",
        f"{total} {thing} are shared by {b} children. How many does each child get?",
        f"If {b} people share {total} dollars equally, how much does each get?",
        f"{who} split{s} {total} {thing} into {b} equal groups. How many are in each group?",
        f"{other} pays {total} dollars for {b} tickets. How much is one ticket?",
        f"A rope of {total} m is cut into {b} equal pieces. How long is each piece?",
        f"{total} students ride in {b} buses. How many are in each bus?",
        f"A box holds {b} {thing}. How many boxes are needed for {total} {thing}?",
    ])
    return q, "Equal parts mean dividing. " + dividing(total, b)[0], str(c)

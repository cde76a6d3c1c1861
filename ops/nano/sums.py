"""Problems of arithmetic: each function returns (question, thought, value as text, noun of the result)."""

from arithmetic import adding, dividing, multiplying, signed_adding, signed_dividing, signed_subtracting, subtracting

NAMES = "Anna Ben Clara David Emma Felix Grace Hugo Iris Jack Kim Leo Maria Nina Omar Paul Rosa Sam Tom Zoe Lucy Ali Mei Ravi".split()
THINGS = "apples books pens coins marbles stickers cards shells eggs balls stamps cookies flowers pencils oranges toys".split()


def number(rng):
    return rng.randint(10, 99) if rng.random() < 0.5 else rng.randint(100, 999)


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
        return f"What is {a} + {b} + {c}?", first + " " + adding(total, c)[0], str(total + c), "sum"
    question = ask(rng, forms, a, b)
    if question.startswith("Please add"):
        a, b = b, a
    return question, adding(a, b)[0], str(a + b), "sum"


def subtract(rng):
    a, b = number(rng), number(rng)
    if rng.random() < 0.6 and a < b:
        a, b = b, a
    if rng.random() < 0.05:
        b = rng.randint(0, 9)
    forms = ["What is {0} - {1}?", "{0}-{1}", "{0} - {1} =", "{0} minus {1}", "Compute {0} - {1}.", "Subtract {1} from {0}.",
             "What is the difference {0} - {1}?", "calculate {0}-{1}", "How much is {0} minus {1}?", "Take {1} away from {0}",
             "Find {0} - {1}", "{0} less {1}?", "what's {0} minus {1}?", "Work out {0} - {1}", "What is left of {0} without {1}?"]
    return ask(rng, forms, a, b), subtracting(a, b)[0], str(a - b), "difference"


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
    return ask(rng, forms, a, b), multiplying(a, b)[0], str(a * b), "product"


def compare(rng):
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
    forms = ["Which is {2}, {0} or {1}?", "Which number is {2}: {0} or {1}?", "{0} or {1}, which is {2}?", "Tell me which is {2}: {0}, {1}",
             "Is {0} or {1} {2}?", "which one is {2}? {0} or {1}", "Compare {0} and {1}: which is {2}?", "Of {0} and {1}, which is {2}?"]
    value = min(a, b) if smaller else max(a, b)
    return ask(rng, forms, a, b, word), comparing(a, b) + f" The {word} one is {value}.", str(value), "answer"


def comparing(a, b):
    big, small = max(a, b), min(a, b)
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
        return ask(rng, forms, total, small, big), rule + f"So I divide by {factor}. " + step, str(n), big
    return ask(rng, forms, n, big, small), rule + f"So I multiply by {factor}. " + multiplying(n, factor)[0], str(n * factor), small


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
    return ask(rng, forms, text, v), thought + f" So {v}={x}.", str(x), v


def word(rng):
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    a, b, c = rng.randint(12, 90), rng.randint(2, 11), rng.randint(2, 9)
    kind = rng.randrange(14)
    if kind == 0:
        b = rng.randint(5, 90)
        q = f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have now?"
        return q, "Getting more means adding. " + adding(a, b)[0], str(a + b), thing
    if kind == 1:
        b = rng.randint(1, a)
        q = f"{name} has {a} {thing} and gives {b} to {other}. How many {thing} are left?"
        return q, "Giving away means subtracting. " + subtracting(a, b)[0], str(a - b), thing
    if kind == 2:
        q = f"There are {b} boxes with {a} {thing} each. How many {thing} are there in all?"
        return q, "Equal boxes mean multiplying. " + multiplying(a, b)[0], str(a * b), thing
    if kind == 3:
        q = f"{name} shares {c * b} {thing} equally among {b} friends. How many {thing} does each friend get?"
        return q, "Sharing equally means dividing. " + dividing(c * b, b)[0], str(c), thing
    if kind == 4:
        q = f"A train travels at {a} km per hour for {c} hours. How far does it go in km?"
        return q, "Distance is speed times time. " + multiplying(a, c)[0], str(a * c), "km"
    if kind == 5:
        q = f"{name} is {a} years old. {other} is {b} years older. How old is {other}?"
        return q, "Older means adding. " + adding(a, b)[0], str(a + b), "years"
    if kind == 6:
        q = f"{name} is {a} years old. {other} is {b} years younger. How old is {other}?"
        return q, "Younger means subtracting. " + subtracting(a, b)[0], str(a - b), "years"
    if kind == 7:
        q = f"One ticket costs {a} dollars. What do {c} tickets cost in dollars?"
        return q, "Each costs the same, so I multiply. " + multiplying(a, c)[0], str(a * c), "dollars"
    if kind == 8:
        price, paid = c * rng.randint(2, 9), 100
        n = price // c
        first, total = multiplying(n, c)
        q = f"{name} buys {c} {thing} for {n} dollars each and pays with {paid} dollars. How much change does {name} get?"
        return q, "First the cost. " + first + " Then the change. " + subtracting(paid, total)[0], str(paid - total), "dollars"
    if kind == 9:
        first, total = multiplying(b, c)
        q = f"{name} has {a} {thing} and buys {b} bags with {c} {thing} each. How many {thing} does {name} have?"
        return q, "First the bags. " + first + " Then all together. " + adding(a, total)[0], str(a + total), thing
    if kind == 10:
        d = rng.randint(5, 90)
        first, total = adding(a, d)
        e = rng.randint(1, total)
        q = f"A shop has {a} {thing} in the morning, receives {d} and sells {e}. How many {thing} remain?"
        return q, "First add. " + first + " Then subtract. " + subtracting(total, e)[0], str(total - e), thing
    if kind == 11:
        q = f"{name} reads {a} pages a day. How many pages does {name} read in {c} days?"
        return q, "The same each day means multiplying. " + multiplying(a, c)[0], str(a * c), "pages"
    if kind == 12:
        q = f"A car drives {a * c} km in {c} hours. What is its speed in km per hour?"
        return q, "Speed is distance divided by time. " + dividing(a * c, c)[0], str(a), "km per hour"
    d = rng.randint(a, 120)
    q = f"{name} wants {d} {thing} and has {a}. How many {thing} are missing?"
    return q, "What is missing is the difference. " + subtracting(d, a)[0], str(d - a), thing

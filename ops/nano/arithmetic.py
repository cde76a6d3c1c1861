"""Sums as a small model can do them: one digit at a time, every step written out. Functions return (text, value)."""


def digits(n):
    return [int(d) for d in str(n)][::-1]


def adding(a, b):
    """a, b ≥ 0."""
    da, db = digits(a), digits(b)
    if len(da) == len(db) == 1:
        return f"{a}+{b}={a + b}.", a + b
    steps, carry, width = [], 0, max(len(da), len(db))
    for i in range(width):
        parts = [str(d[i]) for d in (da, db) if i < len(d)] + (["1"] if carry else [])
        total = (da[i] if i < len(da) else 0) + (db[i] if i < len(db) else 0) + carry
        carry = total // 10
        step = "+".join(parts) + (f"={total}" if len(parts) > 1 else "")
        steps.append(step + (f", write {total % 10} carry 1" if carry and i + 1 < width else ""))
    return f"{a}+{b}: " + "; ".join(steps) + f"; so {a}+{b}={a + b}.", a + b


def subtracting(a, b):
    """a, b ≥ 0; the result may be negative."""
    if a < b:
        text, value = subtracting(b, a)
        return f"{a} is less than {b}. " + text + f" So {a}-{b}={a - b}.", -value
    da, db = digits(a), digits(b)
    if len(da) == 1:
        return f"{a}-{b}={a - b}.", a - b
    steps, borrow = [], 0
    for i, d in enumerate(da):
        other = db[i] if i < len(db) else 0
        top = d + (10 if d - borrow - other < 0 else 0)
        left = top - borrow - other
        terms = f"{top}" + ("-1" if borrow else "") + (f"-{other}" if i < len(db) else "")
        text = terms + (f"={left}" if terms != str(left) else "")
        borrow = int(top != d)
        steps.append(text + (" borrow 1" if borrow else ""))
    return f"{a}-{b}: " + "; ".join(steps) + f"; so {a}-{b}={a - b}.", a - b


def by_digit(a, d):
    """a ≥ 0 times one digit."""
    da = digits(a)
    if len(da) == 1:
        return f"{a}*{d}={a * d}.", a * d
    steps, carry = [], 0
    for i, x in enumerate(da):
        product = x * d
        total = product + carry
        step = f"{x}*{d}={product}" + (f", +{carry}={total}" if carry else "")
        carry = total // 10
        steps.append(step + (f", write {total % 10} carry {carry}" if carry and i + 1 < len(da) else ""))
    return f"{a}*{d}: " + "; ".join(steps) + f"; so {a}*{d}={a * d}.", a * d


def multiplying(a, b):
    """a, b ≥ 0, b of at most two digits, or a power of ten."""
    if b > 9 and str(b).strip("0") == "1" or b == 1:
        return f"{a}*{b}={a * b}.", a * b
    if a < 10 and b >= 10:
        text, value = multiplying(b, a)
        return text, value
    if b < 10:
        return by_digit(a, b)
    tens, units = divmod(b, 10)
    high, value = by_digit(a, tens)
    text = f"{b}={tens * 10}+{units}. " if units else ""
    text += high + f" {a}*{tens * 10}={value * 10}."
    if not units:
        return text, a * b
    low, more = by_digit(a, units)
    return text + " " + low + " " + adding(value * 10, more)[0] + f" So {a}*{b}={a * b}.", a * b


def dividing(a, b):
    """a a multiple of b, the quotient below 100."""
    q = a // b
    if b == 1:
        return f"{a}/1={a}.", a
    if q < 10:
        return f"{b}*{q}={a}, so {a}/{b}={q}.", q
    tens, units = divmod(q, 10)
    text = f"{a}/{b}: {b}*{tens * 10}={b * tens * 10}; "
    if units:
        text += subtracting(a, b * tens * 10)[0] + f" {b}*{units}={b * units}; "
    return text + f"so {a}/{b}={q}.", q


def signed_adding(a, b):
    """Any integers."""
    if b < 0:
        return signed_subtracting(a, -b)
    if a >= 0:
        return adding(a, b)
    text, value = subtracting(b, -a)
    return f"{a}+{b}={b}-{-a}. " + text, value


def signed_subtracting(a, b):
    if b < 0:
        text, value = signed_adding(a, -b)
        return f"{a}-({b})={a}+{-b}. " + text, value
    if a >= 0:
        return subtracting(a, b)
    text, value = adding(-a, b)
    return f"{a}-{b}=-({-a}+{b}). " + text + f" So {a}-{b}={a - b}.", a - b


def signed_dividing(a, b):
    text, value = dividing(abs(a), abs(b))
    if (a < 0) == (b < 0):
        return (text if a >= 0 else f"Both are negative. {text} So {a}/{b}={value}."), a // b
    return text + f" So {a}/{b}={a // b}.", a // b

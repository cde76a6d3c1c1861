"""Scores replies to problems: pass@1 over all samples, majority votes, and the table of both by family."""

import collections
import sys

import corpus


def key_of(reply):
    """What majority voting counts: the call, or the text after the last \\boxed, or the whole answer."""
    if reply.get("tool_calls"):
        call = reply["tool_calls"][0]["function"]
        return call["name"] + call["arguments"]
    content = reply.get("content") or ""
    return content.rpartition("\\boxed")[2] or content


def row_of(problem):
    """The problem's row of the table: tools that are to be called, and those of which none fits, apart."""
    return "no tool fits" if problem.family == "tools" and not isinstance(problem.answer, dict) else problem.family


def score(problems, replies, num_tokens, num_shown=0):
    """replies[i]: the messages that answer problem i; num_tokens[i]: of all of them. Rows by family, and "all".

    The first num_shown wrong replies go to standard error.
    """
    rows = collections.defaultdict(lambda: [0, 0, 0, 0, 0, 0])
    for problem, answers, tokens in zip(problems, replies, num_tokens):
        right = [bool(corpus.check(problem, a)) for a in answers]
        winner = collections.Counter(key_of(a) for a in answers).most_common(1)[0][0]
        is_right = any(r for a, r in zip(answers, right) if key_of(a) == winner)
        thinks = sum(bool(a.get("reasoning")) for a in answers)
        for name in (row_of(problem), "all"):
            for i, value in enumerate((1, len(answers), sum(right), is_right, thinks, tokens)):
                rows[name][i] += value
        for answer in [a for a, r in zip(answers, right) if not r][:num_shown]:
            num_shown -= 1
            asked = problem.messages[-1]["content"]
            print(f"--- {row_of(problem)}: {asked!r} wants {problem.answer!r}\n{answer}", file=sys.stderr)
    return rows


def print_table(rows):
    samples = rows["all"][1] // rows["all"][0]
    print(f"{'family':16} {'problems':>8} {'pass@1':>8} {'cons@' + str(samples):>8} {'thinks':>8} {'tokens':>8}")
    for name in sorted(rows, key=lambda n: (n == "all", n)):
        count, total, right, voted, thinks, tokens = rows[name]
        print(
            f"{name:16} {count:8} {right / total:8.1%} {voted / count:8.1%} {thinks / total:8.1%} {tokens / total:8.0f}"
        )

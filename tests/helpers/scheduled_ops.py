"""Which operations of a compiled program or loop can run at the same time on a CPU."""

import re

import jax

_FREE = {"bitcast", "constant", "get-tuple-element", "parameter", "tuple"}  # XLA runs nothing
_LINE = re.compile(r"\s+(?:ROOT )?%([\w.-]+) = .*? ([a-z-]+)\((.*?)\)(?:, |$)")


def program(jitted, *arguments):
    """The text of what it is compiled to, without its loops."""
    return _computation("ENTRY", _compiled(jitted, *arguments))


def longest_loop(function, *arguments):
    """The text of the longest loop that it is compiled to."""
    text = _compiled(jax.jit(function), *arguments)
    names = re.findall(r" while\(.*body=(%[\w.-]+)", text)
    return max((_computation(name, text) for name in names), key=len)


def _compiled(jitted, *arguments):
    return str(jitted.lower(*arguments).compile().as_text())


def _computation(name, text):
    return text[text.index(f"\n{name} ") :].split("\n}", 1)[0]


def shared(body):
    """Operations that XLA gives to all threads. A scatter it runs on one, whatever it says."""
    lines = [line for line in body.splitlines() if "outer_dimension_partitions" in line]
    return [line for line in lines if "scatter" not in line.split(" = ")[0]]


def most(body):
    """The most that wait while one runs: XLA gives half to another thread from nine on.

    They are taken in the order in which they become ready, as XLA takes them.
    """
    needs = _operands(body)
    assert len(needs) > 4, "does the pattern of a line still fit?"
    waiting, started, done = [], set(), set()
    longest = 0
    while True:
        ready = [name for name in needs if name not in started and needs[name] <= done]
        waiting += ready
        started.update(ready)
        if not waiting:
            return longest
        done.add(waiting.pop(0))
        longest = max(longest, len(waiting))


def _operands(body):
    """Returns, for each operation, those whose results it needs, in the order of the program."""
    lines = [match for match in map(_LINE.match, body.splitlines()) if match]
    reads = {line[1]: set(re.findall(r"%([\w.-]+)", line[3])) for line in lines}
    free = {line[1] for line in lines if line[2] in _FREE}
    for line in lines:  # operands stand above their users
        known = reads[line[1]] & reads.keys()
        reads[line[1]] = known - free | {name for seen in known & free for name in reads[seen]}
    return {name: needed for name, needed in reads.items() if name not in free}

"""Says of each case (a line of hexadecimal bytes) what Python's json makes of it.

reject | constant (NaN or an infinity, which is Python's extension) | ok VALUE, where VALUE is a
rendering that keeps numbers as written and strings as hexadecimal UTF-8.
"""

import json
import signal
import sys


class Number:
    def __init__(self, text):
        self.text = text


class Constant(Exception):
    pass


def constant(_):
    raise Constant


def render(value):
    if value is None:
        return "n"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, Number):
        return "#" + value.text
    if isinstance(value, str):
        return "'" + value.encode("utf-8", "surrogatepass").hex() + "'"
    if isinstance(value, list):
        return "[" + ",".join(map(render, value)) + "]"
    return "{" + ",".join(render(key) + ":" + render(inner) for key, inner in value.items()) + "}"


def verdict(document):
    try:
        text = document.decode("utf-8")
        value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=constant)
    except Constant:
        return "constant"
    except ValueError:
        return "reject"
    return "ok " + render(value)


signal.alarm(120)
with open(sys.argv[1], encoding="ascii") as cases:
    for case in cases.read().split("\n"):
        print(verdict(bytes.fromhex(case)))

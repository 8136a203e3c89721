"""Collects the lines of a generated file."""

from contextlib import contextmanager


class Writer:
    def __init__(self, header):
        self.lines = header.rstrip("\n").split("\n")
        self.depth = 0

    def line(self, text=""):
        self.lines.append("  " * self.depth + text if text else "")

    def comment(self, lines):
        for line in lines:
            self.line(f"/// {line}" if line else "///")

    @contextmanager
    def indent(self):
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def block(self, start, end="}", indented=True):
        """Lines between `start` and `end`. The cases of a switch are not indented."""
        self.line(start)
        self.depth += indented
        yield
        self.depth -= indented
        self.line(end)

    def separated(self, parts):
        for index, part in enumerate(parts):
            if index:
                self.line()
            part()

    def text(self):
        return "\n".join(self.lines) + "\n"

"""`python3 -m windlass loss=0.3 step=17`: send a line of metrics from a shell."""

import sys

import windlass


def main(words):
    """Send the words as one line; 2 when they are not name=number."""
    values = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            sys.stderr.write("not name=number: %s\n" % word)
            return 2
    step = values.pop("step", None)
    windlass.log(values, step=step)
    return 0


sys.exit(main(sys.argv[1:]))

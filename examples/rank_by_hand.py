"""Find a colour that you have in mind by saying which ones are closer; no numbers are asked.

Run it in a terminal and type a ranking, best first: "3 1" says that colour 3 is the closest, then
1; "3=1" says that both are as close. Enter shows the help, q ends. Without a terminal, or with
--simulate, a made-up person answers.
"""

import argparse
import colorsys
import sys

import numpy as np

from thalweg.search import ZORankSGD

HELP = 'best first, such as "{}"; equals as "3=1"; q to end'
WANTED = np.array([0.09, 0.7, 0.6])  # what the made-up person has in mind: a warm orange brown


class Done(Exception):
    """The person has had enough."""


def rgb(x):
    """Red, green and blue of 0 to 255; x is hue, saturation and value within [0, 1]."""
    return [round(255 * c) for c in colorsys.hsv_to_rgb(*x)]


def block(x, colour):
    """A colour as text: a block in terminals, its code elsewhere."""
    red, green, blue = rgb(x)
    code = f"#{red:02x}{green:02x}{blue:02x}"
    return f"\033[48;2;{red};{green};{blue}m        \033[0m {code}" if colour else code


def parse(text, shown, wanted):
    """Indices from "3 1=2", or a ValueError that says what is wrong with it."""
    order = []
    for place in text.replace(",", " ").replace(" =", "=").replace("= ", "=").split():
        group = place.split("=")
        for entry in group:
            if not entry.isdecimal() or not 1 <= int(entry) <= shown:
                raise ValueError(f"{entry!r} is none of the numbers 1 to {shown}")
        order.append([int(entry) - 1 for entry in group])
    flat = [index for group in order for index in group]
    if len(set(flat)) < len(flat):
        raise ValueError("a number appears twice")
    if len(flat) != wanted:
        raise ValueError(f"{wanted} of them are to be named, not {len(flat)}")
    return order


def ask_person(candidates, wanted):
    """A ranking as typed; asks again until it is one."""
    example = " ".join("312"[:wanted])
    while True:
        try:
            text = input(f"the best {wanted} of {len(candidates)}, best first: ").strip()
        except (EOFError, KeyboardInterrupt):
            raise Done from None
        if text.lower() in ("q", "quit", "exit"):
            raise Done
        if not text:
            print(HELP.format(example))
            continue
        try:
            return parse(text, len(candidates), wanted)
        except ValueError as error:
            print(f"{error}; {HELP.format(example)}")


def ask_nobody(candidates, wanted):
    """What somebody who has WANTED in mind would say."""
    colours = np.array([rgb(x) for x in candidates], dtype=float)
    return np.argsort(((colours - rgb(WANTED)) ** 2).sum(axis=1), kind="stable")[:wanted]


def find(ask, rounds, seed, colour, show=print):
    """The colour that `rounds` rankings lead to."""
    search = ZORankSGD(
        [0.5, 0.5, 0.5], population=6, ranked=3, mu=0.15, lr=0.3, line_search=4,
        bounds=[(0, 1)] * 3, seed=seed,
    )  # fmt: skip
    try:
        for turn in range(1, rounds + 1):
            candidates = search.ask()
            show(f"\nround {turn} of {rounds}, {search.phase}")
            for number, x in enumerate(candidates, 1):
                show(f"  {number}  {block(x, colour)}")
            search.tell_ranking(ask(candidates, search.to_rank))
    except Done:
        show("")
    return search


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--simulate", action="store_true", help="let a made-up person answer")
    who.add_argument("--ask", action="store_true", help="read rankings where there is no terminal")
    chosen = parser.parse_args()
    person = chosen.ask or (sys.stdin.isatty() and not chosen.simulate)
    quiet = [] if person else [lambda line: None]
    search = find(
        ask_person if person else ask_nobody,
        chosen.rounds,
        chosen.seed,
        sys.stdout.isatty(),
        *quiet,
    )
    print(f"after {search.step} rankings of {search.evaluations} colours:")
    print(f"  {block(search.x, sys.stdout.isatty())}")
    if not person:
        print(f"  {block(WANTED, sys.stdout.isatty())} was wanted")

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""floors.py [ROOT]: the picture of the floors, as SVG, drawn from the #include lines: a folder is a box, on the row
above the highest that it includes. An arrow is left out where a longer way leads to the same box. "make floors"
writes it to man/floors.svg, and a test draws it anew and compares.
"""
import os
import re
import sys

WIDTH, BOX, HEIGHT, GAP, ROW, MARGIN = 1060, 118, 30, 14, 74, 20
LIBRARY, TOOLS = "#dfeaf7", "#f6ecd9"


def folder_of(path):
    """The box a file belongs to."""
    parts = path.split("/")
    if parts[0] == "include" or path == "libcow.h":
        return "libcow.h"
    if parts[:2] == ["libcow", "store"]:
        return "store" if len(parts) == 3 else "store/" + parts[2]
    return parts[1] if parts[0] == "libcow" else "tools/" + parts[1]


def edges(root):
    """{box: boxes that its files include}"""
    found = {"libcow.h": set()}
    for top in ("libcow", "tools"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith((".c", ".h")) or len(path.split("/")) < 3:
                    continue
                box = found.setdefault(folder_of(path), set())
                # the register alone knows all kinds; it would hang above them
                if name == "registry.c":
                    continue
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    for include in re.findall(r'^#include [<"](libcow[^>"]+|tools[^>"]+)[>"]', file.read(), re.M):
                        box.add(folder_of(include))
    return {box: below - {box} for box, below in found.items()}


def rank(box, found, memo):
    if box not in memo:
        memo[box] = 1 + max((rank(below, found, memo) for below in found[box]), default=-1)
    return memo[box]


def reaches(box, goal, found):
    return any(below == goal or reaches(below, goal, found) for below in found[box])


def needed(box, found):
    """Without what another of its arrows leads to."""
    return sorted(to for to in found[box]
                  if not any(other != to and reaches(other, to, found) for other in found[box]))


def draw(root):
    found = edges(root)
    memo = {}
    rows = {}
    for box in sorted(found):
        rows.setdefault(rank(box, found, memo), []).append(box)
    height = 2 * MARGIN + max(rows) * ROW + HEIGHT
    place = {}
    for row, boxes in rows.items():
        # the library to the left, the tools to the right
        boxes.sort(key=lambda box: (box.startswith("tools/"), box))
        free = WIDTH - 2 * MARGIN - len(boxes) * BOX
        step = min(GAP * 4, free / max(len(boxes) - 1, 1))
        left = (WIDTH - len(boxes) * BOX - step * (len(boxes) - 1)) / 2
        for i, box in enumerate(boxes):
            place[box] = (left + i * (BOX + step), height - MARGIN - HEIGHT - row * ROW)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           'font-family="DejaVu Sans, sans-serif" font-size="13">')
    yield ('<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
           '<path d="M0,0 L8,4 L0,8 z" fill="#778"/></marker></defs>')
    yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    for box in sorted(found):
        x, y = place[box]
        for to in needed(box, found):
            tx, ty = place[to]
            yield (f'<line x1="{x + BOX / 2:.0f}" y1="{y + HEIGHT:.0f}" x2="{tx + BOX / 2:.0f}" y2="{ty - 2:.0f}" '
                   'stroke="#99a" stroke-width="1.2" marker-end="url(#a)"/>')
    for box in sorted(found):
        x, y = place[box]
        yield (f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="4" '
               f'fill="{TOOLS if box.startswith("tools/") else LIBRARY}" stroke="#667"/>')
        yield (f'<text x="{x + BOX / 2:.0f}" y="{y + 20:.0f}" text-anchor="middle">'
               f'{box.removeprefix("tools/")}</text>')
    yield "</svg>"


def main():
    print("\n".join(draw(sys.argv[1] if len(sys.argv) > 1 else ".")))


if __name__ == "__main__":
    main()

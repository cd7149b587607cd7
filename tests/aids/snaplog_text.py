#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Log devices of the snapshot driver of 2001, out of text.

usage: snaplog_text.py FOLDER <TEXT

Writes below FOLDER source.img, log0.img and so on, old.img (the source as it was
before anything was saved), view.img (what the snapshot shows, by a reader that
goes block by block), spec (the specification with its geometry) and bare (without).
Written from cow-snaplog(5) alone. Lines of the text:

  geometry block=1024 word=4 endian=little key=block bitmap=packed map=half [count=N]
  source SECTORS
  base FILE               that it holds these bytes
  log BLOCKS              one for each log, log 0 first
  rubbish                 in map and data of all logs, before anything is saved
  save BLOCK...           what the driver does before each of them is written, and
                          then it is; 5-9 is a range
  go LOG VALUE            where the driver goes on
  bit LOG KEY VALUE       sets a bit and its entry
  entry LOG KEY VALUE     the entry alone
  clear LOG KEY           the bit alone
  byte LOG OFFSET VALUE   one byte of the log
  cut LOG BLOCKS          the log is that long afterwards
"""

import os
import sys


class Logs:
    def __init__(self):
        self.logs, self.log, self.next = [], 0, None
        self.source = self.old = None

    def geometry(self, words):
        facts = dict(word.split("=") for word in words)
        self.facts = facts
        self.block, self.word = int(facts["block"]), int(facts["word"])
        self.order, self.unit = facts["endian"], facts["key"]
        self.is_bytes = facts["bitmap"] == "bytes"
        self.per_map = self.block // self.word // (1 if facts["map"] == "full" else 2)
        self.keys_per_block = self.block // 512 if self.unit == "sector" else 1

    def layout(self):
        size = len(self.source)
        keys = -(-size // (512 if self.unit == "sector" else self.block))
        self.count = int(self.facts.get("count", keys))
        self.facts["count"] = str(self.count)
        self.bitmap_blocks = -(-self.count // (8 * self.block))
        self.map_blocks = -(-self.count // self.per_map)
        self.base = self.next = self.bitmap_blocks + self.map_blocks
        self.keys_end = min(self.count, keys)

    def place(self, key):
        """Byte and mask of a key; None: there is no bit for it."""
        row, column = divmod(key, 8 * self.block)
        if self.is_bytes:
            return (row * self.block + column, 1) if column < self.block else None
        return row * self.block + column // 8, 1 << column % 8

    def entry_at(self, key):
        row, column = divmod(key, self.per_map)
        return (self.bitmap_blocks + row) * self.block + column * self.word

    def entry(self, log, key, value):
        at = self.entry_at(key)
        self.logs[log][at : at + self.word] = value.to_bytes(self.word, self.order)

    def bit(self, log, key, value):
        at, mask = self.place(key)
        self.logs[log][at] |= mask
        self.entry(log, key, value)

    def clear(self, log, key):
        at, mask = self.place(key)
        self.logs[log][at] &= ~mask

    def save(self, block):
        while self.next >= len(self.logs[self.log]) // self.block:
            self.log, self.next = self.log + 1, self.base
        start = block * self.block
        old = self.source[start : start + self.block]
        to = self.next * self.block
        self.logs[self.log][to : to + len(old)] = old
        self.bit(self.log, block * self.keys_per_block, self.next)
        self.next += 1
        self.source[start : start + len(old)] = pattern("new", block, len(old))

    def go(self, log, value):
        self.log, self.next = log, value

    def find(self, block):
        """Where the snapshot finds a block: log and block on it, or None."""
        key = block * self.keys_per_block
        place = self.place(key)
        if key >= self.keys_end or place is None:
            return None
        for number, log in enumerate(self.logs):
            at = self.entry_at(key)
            value = int.from_bytes(log[at : at + self.word], self.order)
            inside = self.base <= value < len(log) // self.block
            if log[place[0]] & place[1] and inside:
                return number, value
        return None

    def view(self):
        shown = bytearray(self.source)
        for block in range(-(-len(shown) // self.block)):
            found = self.find(block)
            if found:
                start, at = block * self.block, found[1] * self.block
                end = min(start + self.block, len(shown))
                shown[start:end] = self.logs[found[0]][at : at + end - start]
        return shown


def pattern(word, number, size):
    line = f"{word} {number}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def numbers(words):
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def make(lines):
    world = Logs()
    for line in lines:
        words = line.split("#")[0].split()
        if not words:
            continue
        verb, rest = words[0], words[1:]
        if verb == "geometry":
            world.geometry(rest)
        elif verb == "source":
            size = 512 * int(rest[0])
            world.old = b"".join(pattern("sector", i, 512) for i in range(size // 512))
            world.source = bytearray(world.old)
            world.layout()
        elif verb == "base":
            with open(rest[0], "rb") as file:
                world.old = file.read()
            world.source = bytearray(world.old)
        elif verb == "log":
            world.logs.append(bytearray(int(rest[0]) * world.block))
        elif verb == "rubbish":
            for log in world.logs:
                at = world.bitmap_blocks * world.block
                log[at:] = pattern("rubbish", len(log), len(log) - at)
        elif verb == "save":
            for block in numbers(rest):
                world.save(block)
        elif verb == "byte":
            world.logs[int(rest[0])][int(rest[1])] = int(rest[2], 0)
        elif verb == "cut":
            del world.logs[int(rest[0])][int(rest[1]) * world.block :]
        else:
            getattr(world, verb)(*map(int, rest))
    return world


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main():
    folder = sys.argv[1]
    world = make(sys.stdin)
    os.makedirs(folder, exist_ok=True)
    write(folder, "source.img", world.source)
    write(folder, "old.img", world.old)
    write(folder, "view.img", world.view())
    spec = "snaplog:source=source.img"
    for number, log in enumerate(world.logs):
        write(folder, f"log{number}.img", log)
        spec += f",log=log{number}.img"
    write(folder, "bare", spec.encode())
    spec += "," + ",".join(f"{key}={value}" for key, value in world.facts.items())
    write(folder, "spec", spec.encode())


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A minimal reader, as a yardstick for planning: open, decode, a regular expression each for id, status and dependencies,
topological sort. No diagnostics, no scope, no waves beyond the order. usage: reader.py FOLDER"""

import os
import re
import sys
from graphlib import TopologicalSorter

ID = re.compile(r"^# Story (\d+(?:\.\d+)+):", re.M)
STATUS = re.compile(r"^\*\*Status\*\*:\s*(.+)$", re.M)
DEPENDENCIES = re.compile(r"^\*\*Dependencies\*\*:\s*(.+)$", re.M)
NUMBER = re.compile(r"\d+(?:\.\d+)+")


def main() -> None:
    graph = {}
    for name in os.listdir(sys.argv[1]):
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            text = file.read().decode("utf-8")
        story = ID.search(text)
        if story is None:
            continue
        status = STATUS.search(text)
        if status is not None and status.group(1).strip().lower() == "done":
            continue
        declared = DEPENDENCIES.search(text)
        graph[story.group(1)] = NUMBER.findall(declared.group(1)) if declared else []
    order = list(TopologicalSorter(graph).static_order())
    print(len(order))


main()

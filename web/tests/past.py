#!/usr/bin/python3
"""Gives publishers a past in a store, for the pictures: past.py STORE ID=CSV...

Each gets three hours of readings from a recording up to its first own one, an hour of heartbeats, and a day and a half of
states: alive, but for maintenance and one restart. The positions are below all real ones.
"""

import contextlib
import csv
import json
import sqlite3
import sys

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
EVERY = 10 * SECOND
# Hours before the first reading, from, to, cause.
STATES = [(33.0, "unseen", "alive", "heard"), (20.0, "alive", "paused", "maintenance"), (18.5, "paused", "alive", "heard"),
          (7.25, "alive", "finished", "goodbye"), (7.0, "finished", "alive", "heard")]


def recorded(file):
    with open(file, newline="") as lines:
        return [json.dumps({name: json.loads(cell) for name, cell in row.items() if name != "time" and cell})
                for row in csv.DictReader(lines)]


with contextlib.closing(sqlite3.connect(sys.argv[1], timeout=30)) as store, store:
    position = -10_000_000

    def insert(table, **row):
        global position
        position += 1
        store.execute(f"INSERT INTO {table} (position, {', '.join(row)}) VALUES (?{', ?' * len(row)})", (position, *row.values()))

    first = {}
    for publisher in sys.argv[2:]:
        name = publisher.partition("=")[0]
        first[publisher] = store.execute(
            "SELECT publisher, min(time_ns) FROM readings WHERE publisher = (SELECT id FROM publishers WHERE name = ?)", (name,)).fetchone()
    for hours, before, after, cause in STATES:
        for place, (publisher, now) in enumerate(first.values()):
            at = int(now - hours * HOUR + place * 40 * SECOND)
            insert("flips", publisher=publisher, time_ns=at, noticed_ns=at, from_state=before, to_state=after, cause=cause,
                   silence_s=1.0, last_heard_ns=at, process=None, evidence="[]")
    for place, (name, (publisher, now)) in enumerate(first.items()):
        rows = recorded(name.partition("=")[2])
        for i in range(3 * HOUR // EVERY):
            at = now - 3 * HOUR + i * EVERY
            insert("readings", publisher=publisher, time_ns=at, received_ns=at, row_time_ns=None, sequence=None, late=0,
                   fields=rows[(i + 97 * place) % len(rows)])
        messages = 0
        for i in range(360):
            # Busier by turns.
            messages += 10 + (i // (11 + place) % 3) * 3 * (place % 4)
            insert("heartbeats", publisher=publisher, time_ns=now - (360 - i) * 10 * SECOND, state="alive", cause="heard", alive=1,
                   since_ns=now - 7 * HOUR, silence_s=0.5, threshold_s=50.0, last_heard_ns=now, pid=None, missed=0,
                   counts=json.dumps({"messages": messages}))

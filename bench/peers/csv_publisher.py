#!/usr/bin/python3
"""What a person would write to publish a CSV file over ZeroMQ. Usage: csv_publisher.py FILE ADDRESS ID."""

import csv
import json
import sys
import time

import zmq

path, address, name = sys.argv[1:]
socket = zmq.Context().socket(zmq.PUB)
# Nothing is dropped for want of room, at either end.
socket.set_hwm(0)
socket.connect(address)
# Whoever publishes before the subscriber is known publishes to nobody.
time.sleep(1)
topic = f"sensor/{name}".encode()
with open(path, newline="") as file:
    for sequence, row in enumerate(csv.DictReader(file)):
        fields = {column: float(cell) for column, cell in row.items() if column != "time"}
        message = {"lastbeat": 1, "seq": sequence, "sent": time.time_ns(), "row": row["time"], "fields": fields}
        socket.send_multipart([topic, json.dumps(message).encode()])
socket.close()
zmq.Context.instance().term()

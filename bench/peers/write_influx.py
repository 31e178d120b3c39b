#!/usr/bin/python3
"""What a person would write to bring readings from ZeroMQ into InfluxDB: pyzmq, json, and the client library.

Usage: write_influx.py ADDRESS HOST PORT DATABASE point|dicts|lines. Tells on stdout how many points it has written, until it is
killed.
"""

import json
import sys
import time

import influxdb
import zmq

BATCH = 5000

address, host, port, database, how = sys.argv[1:]
client = influxdb.InfluxDBClient(host, int(port), database=database)
socket = zmq.Context().socket(zmq.SUB)
socket.connect(address)
socket.subscribe("sensor/")

count, first = 0, 0


def written(points):
    global count
    count += points
    print(json.dumps({"count": count, "first": first, "last": time.monotonic_ns(), "done": False}), flush=True)


def readings():
    """Each reading as it comes: its publisher, its time, its fields."""
    global first
    while True:
        topic, payload = socket.recv_multipart()
        first = first or time.monotonic_ns()
        message = json.loads(payload)
        yield topic.decode().split("/", 1)[1], message["sent"], message["fields"]


batch = []
for publisher, sent, fields in readings():
    if how == "lines":
        values = ",".join(f"{name}={value}" for name, value in fields.items())
        batch.append(f"sensor,publisher={publisher} {values} {sent}")
        if len(batch) == BATCH:
            client.write_points(batch, time_precision="n", protocol="line")
            written(len(batch))
            batch.clear()
        continue
    point = {"measurement": "sensor", "tags": {"publisher": publisher}, "time": sent, "fields": fields}
    if how == "point":
        client.write_points([point], time_precision="n")
        written(1)
        continue
    batch.append(point)
    if len(batch) == BATCH:
        client.write_points(batch, time_precision="n")
        written(len(batch))
        batch.clear()

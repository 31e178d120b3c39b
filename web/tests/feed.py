#!/usr/bin/python3
"""Publishes messages over ZeroMQ: feed.py ADDRESS FILE, the file having one JSON list a line, [topic, payload]."""

import json
import sys

import zmq

address, file = sys.argv[1:]
socket = zmq.Context().socket(zmq.XPUB)
socket.setsockopt(zmq.SNDHWM, 0)
socket.connect(address)
# Nobody gets what he has not subscribed to yet: the subscriber's four subscriptions come by the broker.
wanted = {b"\x01" + kind + b"/" for kind in (b"sensor", b"beat", b"bye", b"rip")}
while wanted:
    wanted.discard(socket.recv())
with open(file) as lines:
    for line in lines:
        socket.send_multipart([part.encode() for part in json.loads(line)])
socket.close()
zmq.Context.instance().term()
print("done", flush=True)

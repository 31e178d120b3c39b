#!/usr/bin/python3
"""Publishes messages over ZeroMQ: feed.py ADDRESS FILE, the file having one JSON list a line, [topic, payload]."""

import json
import sys

import zmq

address, file = sys.argv[1:]
context = zmq.Context()
socket = context.socket(zmq.XPUB)
socket.setsockopt(zmq.SNDHWM, 0)
socket.connect(address)
with open(file) as lines:
    messages = [[part.encode() for part in json.loads(line)] for line in lines]
# Nobody gets what he has not subscribed to yet: the subscriber's subscriptions come by the broker.
wanted = {b"\x01" + topic.partition(b"/")[0] + b"/" for topic, _ in messages}
while wanted:
    wanted.discard(socket.recv())
for message in messages:
    socket.send_multipart(message)
socket.close()
# Returns when all of it is sent; without it the end of this program would cut it off.
context.term()
print("done", flush=True)

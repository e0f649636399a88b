#!/usr/bin/env python3
"""One node, no Raft: a key-value server over HTTP that writes each change to a file before it answers.

  GET /kv/7             200 {"value": 5}, or null
  PUT /kv/7             {"value": 5}            200 {}
  POST /kv/7/cas        {"old": 4, "new": 5}    200 {}, or 409 {"seen": 7}
"""
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

host, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
log = open(os.path.join(directory, "log"), "a+b")
log.seek(0)
# A line that was cut off by a crash was never acknowledged.
lines = [line for line in log.read().split(b"\n")[:-1]]
log.truncate(sum(len(line) + 1 for line in lines))
store = dict(json.loads(line) for line in lines)
lock = threading.Lock()


def set_durably(key, value):
    log.write(json.dumps([key, value]).encode() + b"\n")
    log.flush()
    os.fsync(log.fileno())
    store[key] = value


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        with lock:
            self.answer(200, {"value": store.get(self.path.split("/")[2])})

    def do_PUT(self):
        body = self.body()
        with lock:
            set_durably(self.path.split("/")[2], body["value"])
            self.answer(200, {})

    def do_POST(self):
        key, body = self.path.split("/")[2], self.body()
        with lock:
            seen = store.get(key)
            if seen != body["old"]:
                self.answer(409, {"seen": seen})
            else:
                set_durably(key, body["new"])
                self.answer(200, {})

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((host, port), Handler).serve_forever()

#!/usr/bin/env python3
"""A key-value node on PySyncObj, with the library's defaults. What it speaks: ../API.md.

It has no journal unless --journal is given: then an acknowledged write lives in the memory of a majority, no longer."""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, SyncObjException, replicated

# The library has not taken the command. Of all its other errors, nobody can tell whether it will take effect.
NOT_PROPOSED = (FAIL_REASON.QUEUE_FULL, FAIL_REASON.MISSING_LEADER)
# Longer than clients wait.
DEADLINE_S = 5


class Store(SyncObj):
    """The replicated map. Reads go through the log too, since a plain look at it is a look at this node's past."""

    def __init__(self, own, others, conf):
        super().__init__(own, others, conf)
        self.map = {}

    @replicated
    def read(self, key):
        return self.map.get(key)

    @replicated
    def write(self, key, value):
        self.map[key] = value

    @replicated
    def cas(self, key, old, new):
        """Returns None if it took effect, else what was seen, in a list."""
        seen = self.map.get(key)
        if seen != old:
            return [seen]
        self.map[key] = new
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {})
        elif self.path == "/status":
            self.answer(200, status(self.server))
        else:
            self.attempt(lambda store, key: (200, {"value": store.read(key, **SYNC)}))

    def do_PUT(self):
        value = self.body()["value"]
        self.attempt(lambda store, key: (200, store.write(key, value, **SYNC) or {}))

    def do_POST(self):
        body = self.body()

        def cas(store, key):
            seen = store.cas(key, body["old"], body["new"], **SYNC)
            return (200, {}) if seen is None else (409, {"seen": seen[0]})

        self.attempt(cas)

    def attempt(self, operation):
        try:
            self.answer(*operation(self.server.store, self.path.split("/")[2]))
        except SyncObjException as error:
            certain = error.errorCode in NOT_PROPOSED
            self.answer(503 if certain else 500, {"error": str(error.errorCode)})

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


SYNC = {"sync": True, "timeout": DEADLINE_S}


def status(server):
    known = server.store.getStatus()
    leader = known["leader"] and server.names.get(known["leader"].id)
    return {"id": server.id, "leader": leader, "term": known["raft_term"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--id", "--peers", "--listen", "--client", "--data"):
        parser.add_argument(name, required=True)
    parser.add_argument("--journal", action="store_true")
    args = parser.parse_args()
    peers = dict(peer.split("=") for peer in args.peers.split(","))
    files = {name: os.path.join(args.data, name) for name in ("journalFile", "fullDumpFile")}
    own = peers[args.id]
    others = [address for address in peers.values() if address != own]
    host, port = args.client.split(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.id, server.names = args.id, {address: id for id, address in peers.items()}
    # Unless it is told, the library listens at every address of the machine.
    conf = SyncObjConf(bindAddress=args.listen, **files if args.journal else {})
    server.store = Store(own, others, conf)
    server.serve_forever()


main()

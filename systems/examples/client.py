#!/usr/bin/env python3
"""A client in 30 lines: squall-client/1 on stdin and stdout, a key-value API over HTTP behind it.

[client]
exec = ["python3", "{home}/client.py"]
addr = "{ip}:8000"
"""
import http.client
import json
import sys


def answer(ask):
    """One attempt at one node; never a second one."""
    timeout = ask["timeout_ms"] / 1000
    try:
        node = http.client.HTTPConnection(ask["addr"], timeout=timeout)
        node.connect()
    except OSError as error:
        return {"fail": f"refused: {error}"}  # nothing was sent
    method, path, body = {
        "read": ("GET", "", None),
        "write": ("PUT", "", {"value": ask.get("value")}),
        "cas": ("POST", "/cas", {"old": ask.get("old"), "new": ask.get("value")}),
    }[ask["op"]]
    try:
        node.request(method, f"/kv/{ask['key']}{path}", body and json.dumps(body))
        reply = node.getresponse()
        told = json.loads(reply.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"info": type(error).__name__}  # it may have been sent: nobody knows
    known = {200: {"ok": True, "value": told.get("value")}, 409: {"fail": "precondition", "seen": told.get("seen")}}
    return known.get(reply.status, {"info": f"HTTP {reply.status}"})


print(json.dumps({"squall": "client/1", "ops": ["read", "write", "cas"]}), flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    print(json.dumps({"id": ask["id"], **answer(ask)}), flush=True)

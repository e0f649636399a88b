"""squall-trace/1 in Python: say what happened, then flush before anything leaves this node."""
import json
import os
import time

PATH = os.environ.get("SQUALL_TRACE")
FILE = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if PATH else None
SAID, SEQ = [], 0


def flush():
    """One write(2): what was said survives kill -9."""
    data = "".join(json.dumps(line) + "\n" for line in SAID).encode()
    SAID.clear()
    while FILE is not None and data:
        data = data[os.write(FILE, data):]


def say(event, **fields):
    global SEQ
    SAID.append({"seq": SEQ, "time": time.monotonic_ns(), "event": event, **fields})
    SEQ += 1


if FILE is not None:
    node, boot = os.path.basename(PATH).removesuffix(".jsonl").rsplit(".", 1)
    SAID.append({"squall": "trace/1", "node": node, "boot": int(boot), "write": "through"})

if __name__ == "__main__":
    say("boot", term=0, config={"voters": ["n1", "n2", "n3"]})
    say("become_leader", term=1, last={"index": 0, "term": 0})
    say("append", index=1, term=1, prev_term=0, hashes=["af63bd4c8601b7df"])
    flush()
    say("durable", upto=1)
    flush()

// squall-trace/1 in Go: say what happened, then flush before anything leaves this node.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

type fields map[string]any

var (
	file *os.File // nil unless squall asks for a trace
	said bytes.Buffer
	seq  uint64
)

func line(of fields) { json.NewEncoder(&said).Encode(of) }

func monotonic() int64 { // nanoseconds, on the clock that all processes of a machine share
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func open(path string) {
	name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
	dot := strings.LastIndexByte(name, '.')
	boot, _ := strconv.Atoi(name[dot+1:])
	file, _ = os.Create(path)
	line(fields{"squall": "trace/1", "node": name[:dot], "boot": boot, "write": "through"})
}

func say(event string, of fields) {
	of["seq"], of["time"], of["event"] = seq, monotonic(), event
	seq++
	line(of)
}

func flush() { // one write(2): what was said survives kill -9
	if _, err := file.Write(said.Bytes()); err != nil {
		panic(err)
	}
	said.Reset()
}

func main() {
	open(os.Getenv("SQUALL_TRACE"))
	say("boot", fields{"term": 0, "config": fields{"voters": []string{"n1", "n2", "n3"}}})
	say("become_leader", fields{"term": 1, "last": fields{"index": 0, "term": 0}})
	say("append", fields{"index": 1, "term": 1, "prev_term": 0, "hashes": []string{"af63bd4c8601b7df"}})
	flush()
	say("durable", fields{"upto": 1})
	flush()
}

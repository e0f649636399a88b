// Writes a log with hashicorp's raft-wal as a node would that is elected, deposed and compacted: several segments, a
// suffix that is removed and written anew, a prefix that is removed, a vote. disk/tests/data/raft-wal is its output:
//
//	go run . -dir ../../../disk/tests/data/raft-wal
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// entries returns commands of a term, in batches as a leader would send them.
func entries(from, to, term uint64) []*raft.Log {
	var logs []*raft.Log
	for index := from; index <= to; index++ {
		data := fmt.Appendf(nil, "set %d in term %d", index, term)
		at := time.Unix(1_700_000_000+int64(index), 0).UTC()
		logs = append(logs, &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: data, AppendedAt: at})
	}
	return logs
}

func main() {
	dir := flag.String("dir", "", "where to write; must not be there")
	flag.Parse()
	must(os.Mkdir(*dir, 0o755))
	// A segment is full after a few batches.
	store, err := wal.Open(*dir, wal.WithSegmentSize(1024))
	must(err)
	must(store.SetUint64([]byte("CurrentTerm"), 2))
	for from := uint64(1); from <= 36; from += 4 {
		must(store.StoreLogs(entries(from, from+3, 2)))
	}
	// A leader of term 3 has other entries from 30 on.
	must(store.DeleteRange(30, 36))
	must(store.SetUint64([]byte("CurrentTerm"), 3))
	must(store.SetUint64([]byte("LastVoteTerm"), 3))
	must(store.Set([]byte("LastVoteCand"), []byte("n2")))
	for from := uint64(30); from <= 44; from += 5 {
		must(store.StoreLogs(entries(from, from+4, 3)))
	}
	// A snapshot makes the first ones superfluous.
	must(store.DeleteRange(1, 5))
	must(store.Close())
}

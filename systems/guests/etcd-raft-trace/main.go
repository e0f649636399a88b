// Runs etcd's Raft library in memory, built with the tag with_tla, and writes what its TraceLogger is given: elections,
// proposals, partitions, lost and late messages, crashes before and after a write, snapshots. Its output is what the
// tests of squall's importer hold to the paper. Time is a tick; the library's election timeouts are its own dice, so
// that no two runs are alike.
//
//	go run -tags with_tla . -seed 7 -rounds 120 > storm.ndjson
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var (
	nodes     = flag.Int("nodes", 3, "how many nodes")
	rounds    = flag.Int("rounds", 120, "how many ticks of every node")
	seed      = flag.Int64("seed", 1, "of faults and proposals")
	forget    = flag.Bool("forget", false, "a broken application: terms and votes are not written to disk")
	prevote   = flag.Bool("prevote", false, "pre-votes, and leaders that check their quorum")
	calm      = flag.Bool("calm", false, "no faults")
	bootstrap = flag.Bool("bootstrap", false, "begin with the library's bootstrap instead of a snapshot")
)

// logger writes an envelope as a zap logger does; the events of all nodes stand in the order in which they happened.
type logger struct {
	out *bufio.Writer
}

func (l *logger) TraceEvent(event *raft.TracingEvent) {
	line, err := json.Marshal(map[string]any{
		"ts": float64(time.Now().UnixMicro()) / 1e6, "tag": "trace", "event": event,
	})
	if err != nil {
		panic(err)
	}
	l.out.Write(append(line, '\n'))
}

// node is a Raft and its disk. What stands in the storage survives a crash.
type node struct {
	id      uint64
	raft    *raft.RawNode
	storage *raft.MemoryStorage
	applied uint64
	down    int
}

// cluster is nodes, what is on its way between them, and who is cut off.
type cluster struct {
	nodes  []*node
	flight []*raftpb.Message
	cut    uint64
	trace  *logger
	dice   *rand.Rand
}

func (c *cluster) peers() []uint64 {
	var ids []uint64
	for id := 1; id <= *nodes; id++ {
		ids = append(ids, uint64(id))
	}
	return ids
}

func (c *cluster) config(n *node) *raft.Config {
	quiet := &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)}
	return &raft.Config{
		ID: n.id, ElectionTick: 8, HeartbeatTick: 2, Storage: n.storage, Applied: n.applied,
		MaxSizePerMsg: 200, MaxInflightMsgs: 8, Logger: quiet, TraceLogger: c.trace,
		PreVote: *prevote, CheckQuorum: *prevote,
	}
}

func (c *cluster) boot(n *node) {
	var err error
	if n.raft, err = raft.NewRawNode(c.config(n)); err != nil {
		panic(err)
	}
}

// begin gives every node the same first snapshot, as the library recommends, or its bootstrap entries.
func (c *cluster) begin(n *node) {
	n.storage = raft.NewMemoryStorage()
	if *bootstrap {
		c.boot(n)
		var peers []raft.Peer
		for _, id := range c.peers() {
			peers = append(peers, raft.Peer{ID: id})
		}
		if err := n.raft.Bootstrap(peers); err != nil {
			panic(err)
		}
		return
	}
	first := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: proto.Uint64(1), Term: proto.Uint64(1), ConfState: &raftpb.ConfState{Voters: c.peers()},
	}}
	if err := n.storage.ApplySnapshot(first); err != nil {
		panic(err)
	}
	n.applied = 1
	c.boot(n)
}

// serve does what a Ready asks for, in its order; a crash may come before the write, or after it and before a message.
func (c *cluster) serve(n *node) {
	for n.down == 0 && n.raft.HasReady() {
		ready := n.raft.Ready()
		if c.strikes(400) {
			c.crash(n)
			return
		}
		n.save(ready)
		if c.strikes(400) {
			c.crash(n)
			return
		}
		c.flight = append(c.flight, ready.Messages...)
		for _, entry := range ready.CommittedEntries {
			n.apply(entry)
		}
		n.raft.Advance(ready)
	}
}

func (n *node) save(ready raft.Ready) {
	if !raft.IsEmptySnap(ready.Snapshot) {
		if err := n.storage.ApplySnapshot(ready.Snapshot); err != nil {
			panic(err)
		}
		n.applied = ready.Snapshot.GetMetadata().GetIndex()
	}
	if err := n.storage.Append(ready.Entries); err != nil {
		panic(err)
	}
	if !raft.IsEmptyHardState(ready.HardState) && !*forget {
		n.storage.SetHardState(ready.HardState)
	}
}

func (n *node) apply(entry *raftpb.Entry) {
	n.applied = entry.GetIndex()
	if entry.GetType() == raftpb.EntryConfChange {
		change := &raftpb.ConfChange{}
		if err := proto.Unmarshal(entry.GetData(), change); err != nil {
			panic(err)
		}
		n.raft.ApplyConfChange(change)
	}
}

// compact takes a snapshot, so that a node that was away needs it.
func (n *node) compact() {
	state := n.raft.Status().Config
	voters := &raftpb.ConfState{}
	for id := range state.Voters.IDs() {
		voters.Voters = append(voters.Voters, id)
	}
	if _, err := n.storage.CreateSnapshot(n.applied, voters, nil); err != nil {
		return
	}
	if err := n.storage.Compact(n.applied); err != nil {
		return
	}
}

func (c *cluster) crash(n *node) {
	n.down = 3 + c.dice.Intn(20)
}

func (c *cluster) strikes(oneIn int) bool {
	return !*calm && c.dice.Intn(oneIn) == 0
}

// deliver hands over some of what is on its way, out of order; the rest waits, or is lost.
func (c *cluster) deliver() {
	flight := c.flight
	c.flight = nil
	c.dice.Shuffle(len(flight), func(i, j int) { flight[i], flight[j] = flight[j], flight[i] })
	for _, message := range flight {
		to := c.nodes[message.GetTo()-1]
		lost := message.GetFrom() == c.cut || message.GetTo() == c.cut || to.down > 0 || c.strikes(40)
		switch {
		case lost:
		case c.strikes(5):
			c.flight = append(c.flight, message)
		default:
			// A message that the node cannot use is none of our business.
			_ = to.raft.Step(message)
			if message.GetType() == raftpb.MsgSnap {
				c.nodes[message.GetFrom()-1].raft.ReportSnapshot(message.GetTo(), raft.SnapshotFinish)
			}
		}
		c.serve(to)
	}
}

func (c *cluster) round(number int) {
	switch {
	case c.cut != 0 && c.strikes(12):
		c.cut = 0
	case c.cut == 0 && c.strikes(25):
		c.cut = 1 + uint64(c.dice.Intn(len(c.nodes)))
	}
	for _, n := range c.nodes {
		if n.down > 0 {
			if n.down--; n.down == 0 {
				c.boot(n)
			}
			continue
		}
		if c.strikes(90) {
			c.crash(n)
			continue
		}
		n.raft.Tick()
		if n.raft.Status().RaftState == raft.StateLeader {
			_ = n.raft.Propose(fmt.Appendf(nil, "%d.%d", n.id, number))
		}
		if c.strikes(60) {
			n.compact()
		}
		c.serve(n)
	}
	c.deliver()
}

func main() {
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	c := &cluster{trace: &logger{out: out}, dice: rand.New(rand.NewSource(*seed))}
	for _, id := range c.peers() {
		n := &node{id: id}
		c.nodes = append(c.nodes, n)
		c.begin(n)
	}
	for number := range *rounds {
		c.round(number)
	}
}

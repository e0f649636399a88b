// A key-value node on hashicorp/raft, with raft-boltdb or raft-wal under it, and the libraries' defaults. What it speaks: ../API.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
)

// Longer than clients wait: past it nobody hears the answer.
const deadline = 5 * time.Second

// change is what goes through the log: a write, or a cas if it has an old value.
type change struct {
	Key   string          `json:"key"`
	Old   json.RawMessage `json:"old,omitempty"`
	Value json.RawMessage `json:"value"`
}

// store is the replicated map. Values are kept as their JSON; a key that is not there is null.
type store struct {
	sync.Mutex
	values map[string]string
}

func (s *store) get(key string) string {
	s.Lock()
	defer s.Unlock()
	if value, there := s.values[key]; there {
		return value
	}
	return "null"
}

// Apply returns what a cas saw instead of the old value, or nothing if the change took effect.
func (s *store) Apply(entry *raft.Log) any {
	var c change
	if err := json.Unmarshal(entry.Data, &c); err != nil {
		panic(err) // Another node's apply would differ from ours.
	}
	if seen := s.get(c.Key); c.Old != nil && string(c.Old) != seen {
		return json.RawMessage(seen)
	}
	s.Lock()
	defer s.Unlock()
	s.values[c.Key] = string(c.Value)
	return nil
}

func (s *store) Snapshot() (raft.FSMSnapshot, error) {
	s.Lock()
	defer s.Unlock()
	text, err := json.Marshal(s.values)
	return snapshot(text), err
}

func (s *store) Restore(from io.ReadCloser) error {
	defer from.Close()
	values := map[string]string{}
	err := json.NewDecoder(from).Decode(&values)
	s.Lock()
	defer s.Unlock()
	s.values = values
	return err
}

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s snapshot) Release() {}

type node struct {
	id    string
	raft  *raft.Raft
	store *store
}

// linearize returns once the map holds all that was acknowledged before: the barrier is an entry of the log, behind all of
// that. A leader that was deposed meanwhile does not answer.
func (n *node) linearize() error {
	if err := n.raft.Barrier(deadline).Error(); err != nil {
		return err
	}
	return n.raft.VerifyLeader().Error()
}

func (n *node) read(w http.ResponseWriter, r *http.Request) {
	if err := n.linearize(); err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"value": json.RawMessage(n.store.get(r.PathValue("key")))})
}

func (n *node) write(w http.ResponseWriter, r *http.Request) {
	var body struct{ Value json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Value == nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": fmt.Sprint(err)})
		return
	}
	n.propose(w, change{Key: r.PathValue("key"), Value: body.Value})
}

func (n *node) cas(w http.ResponseWriter, r *http.Request) {
	var body struct{ Old, New json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Old == nil || body.New == nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": fmt.Sprint(err)})
		return
	}
	n.propose(w, change{Key: r.PathValue("key"), Old: body.Old, Value: body.New})
}

func (n *node) propose(w http.ResponseWriter, c change) {
	data, err := json.Marshal(c)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	future := n.raft.Apply(data, deadline)
	if err := future.Error(); err != nil {
		refuse(w, err)
	} else if seen := future.Response(); seen != nil {
		answer(w, http.StatusConflict, map[string]any{"seen": seen, "pos": future.Index()})
	} else {
		answer(w, http.StatusOK, map[string]any{"pos": future.Index()})
	}
}

func (n *node) status(w http.ResponseWriter, _ *http.Request) {
	var leader any
	if _, id := n.raft.LeaderWithID(); id != "" {
		leader = id
	}
	answer(w, http.StatusOK, map[string]any{"id": n.id, "leader": leader, "term": n.raft.CurrentTerm()})
}

// refuse tells what certainly was not proposed from what may have been.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, raft.ErrNotLeader) {
		status = http.StatusMisdirectedRequest
	} else if errors.Is(err, raft.ErrEnqueueTimeout) {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]any{"error": err.Error()})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"no JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text)
}

// storage holds the log, and the term and vote.
type storage interface {
	raft.LogStore
	raft.StableStore
}

func openStorage(data string, asWAL bool) (storage, error) {
	if !asWAL {
		return boltdb.NewBoltStore(filepath.Join(data, "raft.db"))
	}
	dir := filepath.Join(data, "wal")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return wal.Open(dir)
}

// open recovers a node from its files, or founds the cluster.
func open(id, peers, listen, data string, asWAL bool) (*node, error) {
	var servers []raft.Server
	own := raft.ServerAddress("")
	for _, peer := range strings.Split(peers, ",") {
		name, address, _ := strings.Cut(peer, "=")
		servers = append(servers, raft.Server{ID: raft.ServerID(name), Address: raft.ServerAddress(address)})
		if name == id {
			own = raft.ServerAddress(address)
		}
	}
	disk, err := openStorage(data, asWAL)
	if err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStore(data, 2, os.Stderr)
	if err != nil {
		return nil, err
	}
	dialled, err := net.ResolveTCPAddr("tcp", string(own))
	if err != nil {
		return nil, err
	}
	network, err := raft.NewTCPTransport(listen, dialled, 3, 10*time.Second, os.Stderr)
	if err != nil {
		return nil, err
	}
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	found, err := raft.HasExistingState(disk, disk, snapshots)
	if err != nil {
		return nil, err
	}
	if !found {
		founding := raft.Configuration{Servers: servers}
		if err := raft.BootstrapCluster(config, disk, disk, snapshots, network, founding); err != nil {
			return nil, err
		}
	}
	s := &store{values: map[string]string{}}
	r, err := raft.NewRaft(config, s, disk, disk, snapshots, network)
	return &node{id: id, raft: r, store: s}, err
}

func main() {
	id := flag.String("id", "", "this node's name")
	peers := flag.String("peers", "", "all nodes: n1=10.77.0.1:7000,…")
	listen := flag.String("listen", "", "where to listen to the other nodes")
	client := flag.String("client", "", "where to listen to clients")
	data := flag.String("data", "", "where to keep files")
	asWAL := flag.Bool("wal", false, "keep the log with raft-wal instead of raft-boltdb")
	flag.Parse()
	n, err := open(*id, *peers, *listen, *data, *asWAL)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /kv/{key}", n.read)
	http.HandleFunc("PUT /kv/{key}", n.write)
	http.HandleFunc("POST /kv/{key}/cas", n.cas)
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, nil) })
	http.HandleFunc("GET /status", n.status)
	log.Fatal(http.ListenAndServe(*client, nil))
}

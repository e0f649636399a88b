-- What the runs below a results directory are. Made from their files: whatever stands here can be made again.

CREATE TABLE runs (
  path         TEXT PRIMARY KEY,  -- below the results directory
  started      TEXT NOT NULL,     -- UTC, ISO 8601
  system       TEXT NOT NULL,
  bug          TEXT,              -- the planted bug
  workload     TEXT NOT NULL,
  nodes        INTEGER NOT NULL,
  seed         TEXT NOT NULL,     -- a number of 64 bits, more than SQLite's own hold
  outcome      TEXT NOT NULL,     -- valid, invalid, unknown; not judged, running, failed, unreadable
  headline     TEXT NOT NULL,     -- one sentence
  acknowledged INTEGER,           -- operations
  elections    INTEGER,
  seconds      REAL,              -- of the run, without the judgement
  replay       TEXT NOT NULL,     -- the command that runs it again
  stamp        TEXT NOT NULL      -- of the files that this was read from
) STRICT;

CREATE TABLE faults (
  path   TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  family TEXT NOT NULL,
  held   INTEGER NOT NULL,        -- how many took hold while operations ran
  PRIMARY KEY (path, family)
) STRICT, WITHOUT ROWID;

CREATE TABLE checks (
  path    TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  claim   TEXT NOT NULL,
  key     TEXT,                   -- of the history, where the row is about one
  verdict TEXT NOT NULL,          -- valid, invalid, unknown, not-judged
  engine  TEXT NOT NULL,
  summary TEXT NOT NULL
) STRICT;

CREATE TABLE signatures (
  path  TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  id    TEXT NOT NULL,
  claim TEXT NOT NULL,
  says  TEXT NOT NULL,            -- the sentence of this run
  PRIMARY KEY (path, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE campaigns (
  path    TEXT PRIMARY KEY,       -- below the results directory
  name    TEXT NOT NULL,
  verdict TEXT NOT NULL,          -- or running
  storms  INTEGER NOT NULL,
  meaning TEXT NOT NULL,          -- what its quiet or its violations say, in a sentence
  stamp   TEXT NOT NULL
) STRICT;

CREATE INDEX runs_by_time ON runs (started DESC);
CREATE INDEX checks_by_path ON checks (path);
CREATE INDEX signatures_by_id ON signatures (id);

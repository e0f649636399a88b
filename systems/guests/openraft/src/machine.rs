//! The state machine: the map, and its snapshot in a file that is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guest_api::{Answer, Store};
use openraft::storage::RaftStateMachine;
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot,
    SnapshotMeta, StorageError, StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Types;

type Stored<T> = Result<T, StorageError<u64>>;
type Meta = SnapshotMeta<u64, BasicNode>;
type Members = StoredMembership<u64, BasicNode>;

/// All that a snapshot holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    applied: Option<LogId<u64>>,
    members: Members,
    store: Store,
}

/// The state, and where its snapshot lies.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
    file: PathBuf,
}

impl Machine {
    /// Recovers the state as of the last snapshot, if there is one.
    pub(crate) fn open(file: &Path) -> io::Result<Machine> {
        let state = match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Machine { state: Arc::new(Mutex::new(state)), file: file.to_owned() })
    }

    /// Returns a key's value, and the index as of which it holds.
    pub(crate) fn get(&self, key: &str) -> (Value, u64) {
        let state = self.state();
        (state.store.get(key), state.applied.map_or(0, |id| id.index))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a snapshot durable: whole or not there.
    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        let part = self.file.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, &self.file)?;
        File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn snapshot(state: &State, bytes: Vec<u8>) -> Snapshot<Types> {
    let id = state.applied.map_or("empty".to_owned(), |id| id.to_string());
    let members = state.members.clone();
    let meta = Meta { last_log_id: state.applied, last_membership: members, snapshot_id: id };
    Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }
}

fn failed(error: &io::Error) -> StorageError<u64> {
    StorageIOError::write_snapshot(None, error).into()
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let state = self.state().clone();
        let bytes = serde_json::to_vec(&state).map_err(|error| failed(&error.into()))?;
        self.save(&bytes).map_err(|error| failed(&error))?;
        Ok(snapshot(&state, bytes))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Stored<(Option<LogId<u64>>, Members)> {
        let state = self.state();
        Ok((state.applied, state.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<Option<Answer>>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state();
        Ok(entries.into_iter().map(|entry| state.apply(entry)).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        _meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        let bytes = snapshot.into_inner();
        let state = serde_json::from_slice(&bytes).map_err(|error| failed(&error.into()))?;
        self.save(&bytes).map_err(|error| failed(&error))?;
        *self.state() = state;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let state: State = serde_json::from_slice(&bytes).map_err(|error| failed(&error.into()))?;
        Ok(Some(snapshot(&state, bytes)))
    }
}

impl State {
    fn apply(&mut self, entry: Entry<Types>) -> Option<Answer> {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(change) => Some(self.store.apply(change)),
            EntryPayload::Membership(members) => {
                self.members = StoredMembership::new(Some(entry.log_id), members);
                None
            }
        }
    }
}

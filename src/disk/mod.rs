//! What the nodes' own files say, beside what the nodes said of themselves.
//!
//! Files are read while nobody writes them: after a node was killed and before it starts again, while it is paused, and
//! once every node is stopped. `cluster` sees to the moments, `readings` reads within bounds, `record` puts the events into
//! `disk/<node>.<reading>.jsonl`, in the format of traces, and `merge` has them judged, so that `squall check` judges
//! them again without the files. They are judged by themselves: a log on disk is evidence of its own, and the events of
//! a file are not in the order of a trace. `log` writes down which commands the logs hold in the end, and has the
//! clients' answers held against them.

mod cluster;
mod log;
mod merge;
mod readings;
mod record;
#[cfg(test)]
mod tests;

use squall_disk::Layout;
use squall_systems::DiskReader;

pub(crate) use cluster::ReadWhileStill;
pub(crate) use log::{read_log, record_log, witness_row};
pub(crate) use merge::merge;
pub(crate) use readings::Readings;
pub(crate) use record::record;

/// Returns what the reader of a system's page reads, if it reads anything.
pub(crate) fn layout(reader: DiskReader) -> Option<Layout> {
    match reader {
        DiskReader::EtcdWal => Some(Layout::Etcd),
        DiskReader::RaftBoltdb => Some(Layout::RaftBoltdb),
        DiskReader::Squall => Some(Layout::Squall),
        DiskReader::RaftWal => Some(Layout::RaftWal),
        DiskReader::None => None,
    }
}

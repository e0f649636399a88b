//! Telling it: one self-contained page, a terminal summary, JUnit. Files in, files out.

mod bands;
pub mod campaign;
mod figures;
mod junit;
mod lanes;
mod page;
mod recorded;
mod summary;
mod svg;
mod timeline;

pub use junit::junit;
pub use page::page;
pub use recorded::{Recorded, ReportError, write};
pub use summary::{Colour, headline, summary};

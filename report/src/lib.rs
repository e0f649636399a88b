//! Telling it: one self-contained page, a terminal summary, JUnit. Files in, files out.

mod availability;
mod bands;
pub mod browse;
pub mod campaign;
mod compare;
mod cycle;
mod embed;
mod figures;
mod junit;
mod lanes;
mod logs;
mod merged;
mod page;
mod recorded;
mod story;
mod summary;
mod svg;
mod timeline;
mod trail;
mod versions;

pub use compare::{Comparison, Difference, Section, Side, compare};
pub use junit::junit;
pub use merged::{Moment, Window, merged};
pub use page::page;
pub use recorded::{Recorded, ReportError, write};
pub use squall_checker::Sentence;
pub use story::story;
pub use summary::{Colour, basis, headline, summary};

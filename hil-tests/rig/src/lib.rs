//! The robot's side of genba: a simulated arm that is controlled through a box, in real time.
//!
//! Nothing here decides for the box or looks into it. The robot keeps its own books of what it sent and
//! what came back, and a verdict is drawn from those alone.

mod demo;
mod soak;

mod box_process;
mod box_status;
mod calibration;
mod link;
mod noise;
mod robot;
mod site;

mod canary;
mod ledger;
mod pacing;
mod recording;
mod round_trips;
mod tracking;
mod verdict;

mod page;
mod plot;
mod screen;
mod summary;

mod answer;
mod clock;
mod priority;

pub use answer::{Answer, ReasonCode, Unread, What};
pub use box_process::{BoxProcess, beside_this_program};
pub use box_status::{BoxLedger, BoxStatus, Comparison, Line, Snapshot};
pub use calibration::{Calibration, CalibrationError, calibrate, calibrate_for};
pub use canary::{Canaries, CanaryLog, Standstill, Wake};
pub use clock::Moment;
pub use demo::{DemoError, Options, Outcome, demo};
pub use ledger::{Ledger, Totals, Window};
pub use link::{Inbox, Link, LinkError, Outbox, Watch};
pub use noise::mutated;
pub use pacing::{Canary, Pacing};
pub use page::page;
pub use plot::{PlotError, plot};
pub use priority::{Class, Priority, bind, cores, lock_memory, raise, raise_link};
pub use recording::{HangSeen, Mark, MarkKind, Recording};
pub use robot::{End, Event, Hang, Report, Robot};
pub use round_trips::{Bar, Quantiles, RoundTrips};
pub use site::{Site, SiteError};
pub use soak::{
    Conduct, Growth, Limit as SoakLimit, Memory, Report as SoakReport, RobotReport, Size, Slope, SoakOptions, Tally,
    hear, picture as soak_picture, soak,
};
pub use summary::{Row, Summary};
pub use tracking::Tracking;
pub use verdict::Verdict;

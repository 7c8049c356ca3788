//! The other side of a hand-off: inference servers as a factory's cluster has them, the wire to them, the authority that
//! says who they are, and impostors.
//!
//! Everything is on 127.0.0.1. What a server received it wrote down itself, so a test counts it without asking the box.

mod impostor;
mod pki;
mod section;
mod server;
mod site;
mod wire;

pub use impostor::{Behaviour, Impostor, Mask};
pub use pki::{Authority, Identity};
pub use section::{TRITON, cluster_section, home_policy, insecure_section};
pub use server::{Dialect, Fault, Received, Server, interpreter};
pub use site::{Attempt, ClusterSite, FOUND_OUT, journalled, number as hand_off_number};
pub use wire::Wire;

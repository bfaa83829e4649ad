//! Where work belongs: a registry of sticky keys, and a conductor of call chains.
//!
//! The [`StickyRegistry`] pins a key to a slot for as long as anything of it is in flight; the
//! [`Conductor`] counts who belongs to a chain of calls, and lets it go when the last one has left.
//! Both only decide and count: a slot is a number, and whoever runs the work makes it mean a
//! domain, a core or a queue. There are no threads here and no queues.
//!
//! Use it alone with any scheduler, thread pool or connection router whose targets are numbered.
//! `tokengate` routes guarded functions with it.
//!
//! # Costs
//!
//! A mark is a lock of a map's shard, a look-up and an addition, some tens of nanoseconds; a release
//! is an addition. Opening a chain costs a SHA-256 of one block; joining and leaving are an
//! addition and a subtraction. As many entries and chains are kept in memory as were ever in use at
//! one time: 128 bytes for a chain, and for an entry with a value of up to 104. They are made sixteen at a
//! time.

#![forbid(unsafe_code)]

mod conductor;
mod key;
mod registry;
mod seed;
mod shards;
mod slots;
mod sync;

pub use conductor::{ChainId, ChainView, Conductor};
pub use key::{Key, KeyHasher};
pub use registry::{EntryId, Linger, Mark, Pin, Row, StickyRegistry};
pub use seed::Seed;
pub use shards::{DashShards, ShardMap};

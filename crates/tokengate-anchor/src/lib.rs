//! Where work belongs: sticky keys and call chains, by number of a slot, without threads.
#![forbid(unsafe_code)]

mod key;

pub use key::{Key, KeyHasher};

//! The built-in contenders, one file each.
//!
//! The roster starts them. Every peer runs in the form its documentation advises, with as many
//! workers as CPUs are allowed; none of them is held back, and nothing is shared between them but the
//! allocator.

pub(crate) mod async_executor;
pub(crate) mod bounded_channel;
pub(crate) mod rayon_par_iter;
pub(crate) mod rayon_spawn;
pub(crate) mod serial;
pub(crate) mod static_split;
pub(crate) mod threadpool;
pub(crate) mod tokio_chunks;
pub(crate) mod tokio_inside;
pub(crate) mod tokio_join_set;
pub(crate) mod tokio_outside;
pub(crate) mod tokio_spawn_pinned;

use std::any::Any;

use crate::contender::Unable;
use crate::machine;

/// The multi-threaded tokio runtime that the tokio forms share the settings of.
fn tokio_runtime() -> Result<tokio::runtime::Runtime, Unable> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(machine::workers())
        .build()
        .map_err(|error| Unable(format!("tokio does not start: {error}")))
}

/// The rayon pool that the rayon forms share the settings of.
///
/// A panic must not abort the process: the handle that is never filled reports it.
fn rayon_pool() -> Result<rayon::ThreadPool, Unable> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(machine::workers())
        .panic_handler(ignore_panic)
        .build()
        .map_err(|error| Unable(format!("rayon does not start: {error}")))
}

fn ignore_panic(_payload: Box<dyn Any + Send>) {}

//! The tokio runtime around async bodies: its timers and its reactor, nothing else.
//!
//! Each worker enters it before its first async body. A runtime of the gate's own is started then,
//! with one thread that is not pinned; bodies are polled by the workers, never by that thread.

use std::sync::OnceLock;

use tokengate_scheduler::topology::Machine;
use tokengate_scheduler::{Reactor, allow_cpus};
use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) struct Coordination {
    given: Option<Handle>,
    /// None inside if it could not be started.
    own: OnceLock<Option<Runtime>>,
    /// The CPUs that the process may use; a pinned worker would see its own only.
    cpus: Vec<usize>,
}

impl Coordination {
    pub(crate) fn new(given: Option<Handle>) -> Self {
        Self {
            given,
            own: OnceLock::new(),
            cpus: Machine::detect().cpus().iter().map(|cpu| cpu.id).collect(),
        }
    }

    fn handle(&self) -> Option<&Handle> {
        self.given.as_ref().or_else(|| {
            let own = self.own.get_or_init(|| self.start());
            own.as_ref().map(Runtime::handle)
        })
    }

    fn start(&self) -> Option<Runtime> {
        let cpus = self.cpus.clone();
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tokengate-coordination")
            .on_thread_start(move || {
                // Started by a worker, whose pin it inherits.
                allow_cpus(cpus.iter().copied());
            })
            .enable_all()
            .build()
            .inspect_err(|error| {
                tracing::error!(
                    "no runtime for timers and network: {error}; async bodies that use tokio's \
                     will panic; raise the limit of threads and files, or give the gate a runtime"
                );
            })
            .ok()
    }
}

impl Reactor for Coordination {
    fn run_inside(&self, work: &mut dyn FnMut()) {
        let _entered = self.handle().map(Handle::enter);
        work();
    }
}

impl Drop for Coordination {
    fn drop(&mut self) {
        // The last owner may be inside an async context, where waiting for threads would panic.
        if let Some(Some(runtime)) = self.own.take() {
            runtime.shutdown_background();
        }
    }
}

//! A gate that is installed as the global one before the first call.
//!
//! A process has one global gate, so this is one test in a binary of its own.

mod common;

use common::{lone_workers, value};
use tokengate::{Gate, InstallError, task_token_guard};

#[task_token_guard(operation_type = "where")]
fn whose_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn calls_go_to_the_gate_that_was_installed() {
    // One that cannot be started leaves the place free.
    let failed = Gate::builder().capacity(0).install_global().unwrap_err();
    assert!(matches!(failed, InstallError::Start(_)), "{failed:?}");

    let named = || {
        Gate::builder()
            .domains(lone_workers(1))
            .thread_name(|_| "installed".to_owned())
    };
    let installed = named().install_global().unwrap();
    assert_eq!(value(whose_thread()), "installed");
    assert!(std::ptr::eq(installed, Gate::global().unwrap()));
    let elsewhere = std::thread::spawn(|| value(whose_thread()));
    assert_eq!(elsewhere.join().unwrap(), "installed");

    let second = named().install_global().unwrap_err();
    assert!(matches!(second, InstallError::Present), "{second:?}");
}

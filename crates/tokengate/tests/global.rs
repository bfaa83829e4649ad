//! The global gate, started by the first call that finds no other.
//!
//! A process has one, so this is one test in a binary of its own; `global_installed.rs` has the
//! other case.

mod common;

use common::value;
use tokengate::{Gate, InstallError, task_token_guard};

#[task_token_guard(operation_type = "where")]
fn whose_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn the_first_call_starts_it_and_then_it_is_there() {
    // Outside of any gate, from several threads at once: one gate is started.
    let threads = [(); 4].map(|()| std::thread::spawn(|| value(whose_thread())));
    for thread in threads {
        let name = thread.join().unwrap();
        assert!(name.starts_with("tokengate-"), "{name}");
    }
    let global = Gate::global().unwrap();
    assert!(std::ptr::eq(global, Gate::global().unwrap()));
    assert!(global.plan().worker_count() > 0);
    assert!(
        global.stats().total().ended() <= 4,
        "the same gate as that of the calls"
    );

    let refused = Gate::builder().install_global().unwrap_err();
    assert!(matches!(refused, InstallError::Present), "{refused:?}");
    assert!(
        refused.to_string().contains("before the first call"),
        "{refused}"
    );
    assert!(value(whose_thread()).starts_with("tokengate-"));

    // A gate that is entered comes first, and the global one again after it.
    let own = Gate::builder()
        .domains(common::lone_workers(1))
        .thread_name(|_| "own".to_owned())
        .start()
        .unwrap();
    let entered = own.enter();
    assert_eq!(value(whose_thread()), "own");
    drop(entered);
    drop(own);
    assert!(value(whose_thread()).starts_with("tokengate-"));
    // An async call outside of any gate has timers too.
    let slept = global.spawn_async("nap", async {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        7
    });
    assert_eq!(value(slept), 7);
}

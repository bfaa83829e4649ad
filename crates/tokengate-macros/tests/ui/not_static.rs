#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "keep", crate = crate::mock)]
fn keep<T: Send>(page: T) {
    let _ = page;
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "add", crate = crate::mock)]
fn add((a, b): (u64, u64), ref c: u64, _: u64) -> u64 {
    a + b + c
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(limit(4), blocking = true), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

#[task_token_guard(operation_type = "sort", tags(storage_speed = "slow", limit = 0), crate = crate::mock)]
fn sort(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn main() {}

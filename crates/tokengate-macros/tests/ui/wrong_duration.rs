#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(timeout = "30", ttl = "0s"), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

#[task_token_guard(operation_type = "sort", tags(timeout = 30, ttl = "1.5s"), crate = crate::mock)]
fn sort(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn main() {}

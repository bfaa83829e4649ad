#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(sticky, key(page, limit.min(lenght))), crate = crate::mock)]
fn index(page: String, limit: usize) -> usize {
    page.len().min(limit)
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(sticky, key(pages.into_iter().next())), crate = crate::mock)]
fn index(pages: Vec<String>) -> usize {
    pages.len()
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(sticky_anchor = "", key(page)), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

fn main() {}

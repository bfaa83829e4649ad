#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation = "index", weight = "heavy", crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

fn main() {}

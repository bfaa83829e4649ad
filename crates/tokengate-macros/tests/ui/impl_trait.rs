#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
fn index(pages: impl Iterator<Item = String>) -> impl Iterator<Item = usize> {
    pages.map(|page| page.len())
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(fallible), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

#[task_token_guard(operation_type = "drop", tags(fallible), crate = crate::mock)]
fn drop_page(page: String) {
    let _ = page;
}

fn main() {}

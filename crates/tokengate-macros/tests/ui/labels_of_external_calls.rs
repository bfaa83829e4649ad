#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(external_calls = ["store", sort, "", 3, "store"]), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

#[task_token_guard(operation_type = "load", tags(external_calls = "store"), crate = crate::mock)]
fn load(page: String) -> usize {
    page.len()
}

#[task_token_guard(operation_type = "sort", tags(external_calls("store")), crate = crate::mock)]
fn sort(page: String) -> usize {
    page.len()
}

fn main() {}

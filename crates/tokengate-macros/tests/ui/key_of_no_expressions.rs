#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

struct Page {
    id: u64,
}

#[task_token_guard(operation_type = "index", tags(sticky, key(page.)), crate = crate::mock)]
fn index(page: Page) -> u64 {
    page.id
}

#[task_token_guard(operation_type = "sort", tags(sticky, key(page: Page)), crate = crate::mock)]
fn sort(page: Page) -> u64 {
    page.id
}

#[task_token_guard(operation_type = "store", tags(sticky, key = "page"), crate = crate::mock)]
fn store(page: Page) -> u64 {
    page.id
}

#[task_token_guard(operation_type = "load", tags(sticky, key), crate = crate::mock)]
fn load(page: Page) -> u64 {
    page.id
}

fn main() {}

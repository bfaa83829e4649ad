#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", tags(weight = 3, fallible = true), crate = crate::mock)]
fn index(page: String) -> Result<usize, ()> {
    Ok(page.len())
}

#[task_token_guard(operation_type = "", tags(weight = "huge"), crate = crate::mock)]
fn sort(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn main() {}

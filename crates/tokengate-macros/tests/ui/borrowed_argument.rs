#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
fn index(page: &str, limits: Option<&[usize]>) -> usize {
    page.len() + limits.map_or(0, |limits| limits.len())
}

fn main() {}

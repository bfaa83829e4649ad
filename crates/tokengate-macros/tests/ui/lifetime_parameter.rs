#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
fn index<'a, T: AsRef<str> + Send + 'a>(page: T) -> usize {
    page.as_ref().len()
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "first", crate = crate::mock)]
fn first<'a>(words: Vec<&'a str>) -> Option<&'a str> {
    words.first().copied()
}

fn main() {}

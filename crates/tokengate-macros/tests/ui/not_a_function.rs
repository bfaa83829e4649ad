#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "page", crate = crate::mock)]
pub struct Page {
    text: String,
}

fn main() {}

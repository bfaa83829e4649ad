#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
const unsafe extern "C" fn index(page: u64) -> u64 {
    page
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

mod report {}

#[task_token_guard(operation_type = "report", crate = crate::mock)]
fn report() {}

fn main() {}

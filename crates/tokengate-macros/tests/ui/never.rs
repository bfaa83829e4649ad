#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

#[task_token_guard(operation_type = "serve", crate = crate::mock)]
fn serve() -> ! {
    loop {}
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

struct Order;

impl Order {
    #[task_token_guard(operation_type = "price", crate = crate::mock)]
    fn price(units: u64) -> u64 {
        units * 3
    }
}

fn main() {}

#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

struct Page(String);

impl Page {
    #[task_token_guard(operation_type = "index", crate = crate::mock)]
    fn index(&self) -> usize {
        self.0.len()
    }
}

fn main() {}

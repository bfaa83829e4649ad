#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

use std::rc::Rc;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
async fn index(page: String) -> usize {
    let page = Rc::new(page);
    std::future::ready(()).await;
    page.len()
}

fn main() {}

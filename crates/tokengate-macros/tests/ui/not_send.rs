#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

use std::rc::Rc;

#[task_token_guard(operation_type = "index", crate = crate::mock)]
fn index(limit: usize, page: Rc<str>) -> usize {
    page.len().min(limit)
}

#[task_token_guard(operation_type = "load", crate = crate::mock)]
fn load() -> Rc<str> {
    "page".into()
}

#[task_token_guard(operation_type = "keep", crate = crate::mock)]
fn keep<T: Clone>(page: T) {
    let _ = page.clone();
}

fn main() {}

use std::rc::Rc;

#[tokengate::task_token_guard(operation_type = "index")]
fn index(limit: usize, page: Rc<str>) -> usize {
    page.len().min(limit)
}

fn main() {}

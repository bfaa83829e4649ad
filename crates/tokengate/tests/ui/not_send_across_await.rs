use std::rc::Rc;

#[tokengate::task_token_guard(operation_type = "index")]
async fn index(page: String) -> usize {
    let page = Rc::new(page);
    std::future::ready(()).await;
    page.len()
}

fn main() {}

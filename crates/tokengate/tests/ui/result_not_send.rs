use std::rc::Rc;

#[tokengate::task_token_guard(operation_type = "load")]
fn load() -> Rc<str> {
    "page".into()
}

fn main() {}

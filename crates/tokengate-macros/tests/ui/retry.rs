#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

// It cannot fail.
#[task_token_guard(operation_type = "index", tags(retry(attempts = 3)), crate = crate::mock)]
fn index(page: String) -> usize {
    page.len()
}

// One attempt is no retry, and a part is misspelt.
#[task_token_guard(operation_type = "parse", tags(retry(attempts = 1, jiter)), crate = crate::mock)]
fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

// How often is missing.
#[task_token_guard(operation_type = "store", tags(retry(backoff = "1s")), crate = crate::mock)]
fn store(text: String) -> std::io::Result<()> {
    std::fs::write("store", text)
}

fn main() {}

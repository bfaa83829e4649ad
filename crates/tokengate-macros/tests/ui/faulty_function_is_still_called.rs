#[path = "../mock/mod.rs"]
mod mock;

use tokengate_macros::task_token_guard;

mod pages {
    #[super::task_token_guard(operation_type = "index", crate = crate::mock)]
    pub fn index(page: &str, (limit, _): (usize, u8)) -> Result<usize, ()> {
        Ok(page.len().min(limit))
    }
}

pub fn caller() -> Result<usize, ()> {
    let direct = pages::index::run("page", (1, 2))?;
    Ok(pages::index("page", (1, 2)).get()? + direct)
}

fn main() {}

#[tokengate::task_token_guard(operation_type = "double")]
fn double(n: u64) -> u64 {
    n * 2
}

fn main() {
    // A call gives a token, not the value.
    let doubled: u64 = double(21);
    println!("{doubled}");
}

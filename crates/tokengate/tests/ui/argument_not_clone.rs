use tokengate::task_token_guard;

struct Letter {
    text: String,
}

// Each attempt but the last takes a clone.
#[task_token_guard(operation_type = "send", tags(retry(attempts = 3)))]
fn send(to: u64, letter: Letter) -> Result<usize, std::io::Error> {
    Ok(letter.text.len() + to as usize)
}

// The remedy is a bound.
#[task_token_guard(operation_type = "keep", tags(retry(attempts = 3)))]
async fn keep<T: Send + 'static>(value: T) -> Result<T, std::io::Error> {
    Ok(value)
}

// Without `retry` nothing is cloned.
#[task_token_guard(operation_type = "read")]
fn read(letter: Letter) -> usize {
    letter.text.len()
}

fn main() {}

use tokengate::task_token_guard;

struct Order {
    id: u64,
    weights: Vec<f64>,
}

// All arguments take part.
#[task_token_guard(operation_type = "ship", tags(sticky))]
fn ship(id: u64, order: Order) -> u64 {
    id + order.id
}

// A part of one does.
#[task_token_guard(operation_type = "weigh", tags(serial, key(order.id, order.weights[0])))]
fn weigh(order: Order) -> usize {
    order.weights.len()
}

// What does not take part need not be `Hash`.
#[task_token_guard(operation_type = "pack", tags(sticky_anchor = "orders", key(order.id)))]
fn pack(order: Order) -> u64 {
    order.id
}

// The remedy is a bound.
#[task_token_guard(operation_type = "keep", tags(sticky))]
fn keep<T: Send + 'static>(value: T) -> T {
    value
}

// What is in it is not.
#[task_token_guard(operation_type = "sum", tags(sticky))]
fn sum(weights: Vec<f64>) -> f64 {
    weights.into_iter().sum()
}

fn main() {}

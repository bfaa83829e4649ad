//! Prints what tokengate makes of this machine: its domains, their workers, and who may use them.
//!
//! `cargo run -p tokengate --example plan [DOMAINS]` with the number of domains to try out, or one
//! of `core`, `l2`, `l3` and `numa`; without it the default, a domain for each core.

use tokengate::{Call, Domains, Gate, Weight};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::builder().domains(asked()?).start()?;
    let plan = gate.plan();
    println!("{plan}");

    println!("where a call goes:");
    for weight in Weight::ALL {
        let call = Call::from("example").with_weight(weight);
        println!("  {}", gate.handle().explain(call));
    }
    Ok(())
}

fn asked() -> Result<Domains, String> {
    let Some(argument) = std::env::args().nth(1) else {
        return Ok(Domains::default());
    };
    Ok(match argument.as_str() {
        "core" => Domains::PerCore,
        "l2" => Domains::PerL2,
        "l3" => Domains::PerL3,
        "numa" => Domains::PerNuma,
        count => Domains::Count(count.parse().map_err(|_| {
            format!("`{count}` is no number of domains; give one, or core, l2, l3 or numa")
        })?),
    })
}

//! Durations as text: a whole number and a unit.
//!
//! The tags `timeout` and `ttl` are read with it, and the pause of `retry`. A fault says what is missing and shows how the tag is written.

use std::time::Duration;

use syn::{Error, LitStr};

use crate::entry::Entry;

/// The units, each in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// The duration in `name = "30s"`, a limit; more than nothing.
pub(crate) fn duration(entry: &Entry) -> syn::Result<Duration> {
    read(entry, |milliseconds| match milliseconds {
        None => Err("is longer than can be counted; without a limit, remove the tag"),
        Some(0) => Err("leaves no time at all; without a limit, remove the tag"),
        Some(milliseconds) => Ok(milliseconds),
    })
}

/// The duration in `name = "100ms"`, a pause; maybe none.
pub(crate) fn pause(entry: &Entry) -> syn::Result<Duration> {
    read(entry, |milliseconds| {
        milliseconds.ok_or("is longer than can be counted")
    })
}

/// The duration in `name = "30s"`, if `accept` takes its milliseconds; those are `None` if too many.
fn read(
    entry: &Entry,
    accept: impl FnOnce(Option<u64>) -> Result<u64, &'static str>,
) -> syn::Result<Duration> {
    let text = entry.value::<LitStr>()?;
    let milliseconds = milliseconds(&text.value()).and_then(accept);
    let milliseconds = milliseconds.map_err(|fault| {
        let (name, usage) = (&entry.name, entry.usage());
        let message = format!("`{name}` {fault}: {usage}");
        Error::new(text.span(), message)
    })?;
    Ok(Duration::from_millis(milliseconds))
}

/// What the text says, `None` if that is too long to be counted, or what is wrong with it.
fn milliseconds(text: &str) -> Result<Option<u64>, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with('.') {
        return Err("begins with a whole number, and the unit `ms`, `s`, `m` or `h` follows");
    }
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or("needs the unit `ms`, `s`, `m` or `h` right after the number")?;
    Ok(number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor)))
}

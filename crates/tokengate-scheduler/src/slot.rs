//! A small number for each scheduler that lives, to be kept in a token's place.
//!
//! Taken at the start, given back when the last handle is gone: by then all its tokens have resolved.

use std::sync::{Mutex, PoisonError};

use tokengate_token::Place;

/// Which numbers are taken.
static TAKEN: Mutex<Vec<bool>> = Mutex::new(Vec::new());

/// A number that no other living scheduler of the process has.
#[derive(Debug)]
pub(crate) struct GateSlot(u16);

impl GateSlot {
    /// Takes the lowest free number; none if 16,384 schedulers live.
    pub(crate) fn take() -> Option<Self> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = taken.iter().position(|&taken| !taken);
        let number = free.unwrap_or(taken.len());
        let number_in_place = u16::try_from(number).ok()?;
        if number_in_place > Place::MAX_GATE {
            return None;
        }
        let slot = Self(number_in_place);
        if free.is_none() {
            taken.push(false);
        }
        taken[number] = true;
        Some(slot)
    }

    pub(crate) fn number(&self) -> u16 {
        self.0
    }
}

impl Drop for GateSlot {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken[usize::from(self.0)] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn living_schedulers_have_different_numbers() {
        let slots: Vec<GateSlot> = (0..10).filter_map(|_| GateSlot::take()).collect();
        let mut numbers: Vec<u16> = slots.iter().map(GateSlot::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 10);
    }
}

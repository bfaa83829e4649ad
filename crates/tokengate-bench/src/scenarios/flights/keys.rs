//! Flight legs by key: a chain of digests for each tail number, carrier or origin, in the order of the rows.
//!
//! A row's token adds the leg to the totals of its key and hashes the row behind the digest before it, so
//! that one token out of order changes everything after it. Only contenders that keep the order take part.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use clap::ValueEnum;
use sha2::{Digest, Sha256};

use super::legs::{Leg, Table};
use crate::contender::Job;
use crate::contenders::serial::Serial;
use crate::keyed::{self, KeyedJob, Slot, Word};
use crate::report::{Ratio, thousands};
use crate::scenarios::OURS;
use crate::scenarios::load::{Load, repetition};
use crate::scenarios::series::Series;
use crate::tally::Tally;

/// A column whose values are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Key {
    /// The aircraft: many keys
    Tailnum,
    /// The airline: few keys, of unequal weight
    Carrier,
    /// The airport: three keys
    Origin,
}

impl Key {
    pub(super) const ALL: [Self; 3] = [Self::Tailnum, Self::Carrier, Self::Origin];

    /// The column's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tailnum => "tailnum",
            Self::Carrier => "carrier",
            Self::Origin => "origin",
        }
    }

    /// What the built-in data comes to, computed once with another program.
    fn reference(self) -> &'static str {
        match self {
            Self::Tailnum => "8a1f8384ef0f7966272ca5bb710682f6d603fff94106a57071141ddf32d671ea",
            Self::Carrier => "5cfebf248e0888f7acdaf1e6e8ff98b3a14f3b025c333a1dcbba2af9fa38397d",
            Self::Origin => "b531a7daa126a3b0ad8566f18b7f8b59bad6b47a54db0d8475f60cb967d563a8",
        }
    }
}

/// What the legs of one key come to; minutes and miles are signed numbers in two's complement.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Totals {
    legs: Word,
    dep_delay_min: Word,
    arr_delay_min: Word,
    distance_mi: Word,
    /// The digest so far, zeros at first.
    chain: [Word; 4],
}

impl Totals {
    fn add(&self, leg: &Leg) {
        self.legs.add(1);
        self.dep_delay_min.add(i64::from(leg.dep_delay_min) as u64);
        self.arr_delay_min.add(i64::from(leg.arr_delay_min) as u64);
        self.distance_mi.add(i64::from(leg.distance_mi) as u64);
        let digest = Sha256::new()
            .chain_update(self.digest())
            .chain_update(leg.row)
            .finalize();
        for (word, bytes) in self.chain.iter().zip(digest.as_chunks().0) {
            word.set(u64::from_be_bytes(*bytes));
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        for (word, bytes) in self.chain.iter().zip(digest.as_chunks_mut().0) {
            *bytes = word.get().to_be_bytes();
        }
        digest
    }

    fn reset(&self) {
        let sums = [
            &self.legs,
            &self.dep_delay_min,
            &self.arr_delay_min,
            &self.distance_mi,
        ];
        sums.into_iter()
            .chain(&self.chain)
            .for_each(|word| word.set(0));
    }

    /// The line of a key in what the digest is taken of.
    fn line(&self, key: &[u8]) -> Vec<u8> {
        let mut line = key.to_vec();
        let [dep, arr, distance] =
            [&self.dep_delay_min, &self.arr_delay_min, &self.distance_mi].map(|w| w.get() as i64);
        let figures = format!(",{},{dep},{arr},{distance},", self.legs.get());
        line.extend_from_slice(figures.as_bytes());
        line.extend_from_slice(hex(&self.digest()).as_bytes());
        line.push(b'\n');
        line
    }
}

/// One row's token.
pub(crate) struct Fly {
    key: usize,
    slot: &'static Slot<Totals>,
    leg: &'static Leg,
}

impl Job for Fly {
    type Output = ();

    fn run(self) {
        self.slot.state.add(self.leg);
    }
}

impl KeyedJob for Fly {
    fn key(&self) -> usize {
        self.key
    }

    fn lock(&self) -> &'static Mutex<()> {
        &self.slot.lock
    }
}

/// All legs by the values of one column.
pub(crate) struct KeyedLegs {
    key: Key,
    /// In the order of their bytes; the keys are the places here.
    values: Vec<&'static [u8]>,
    slots: &'static [Slot<Totals>],
    legs: &'static [Leg],
    /// The key of each leg.
    keys: Arc<[u32]>,
    expected: String,
}

impl KeyedLegs {
    /// Numbers the values of a column; `None` if the table has no such column.
    pub(super) fn of(table: &Table, key: Key) -> Option<Self> {
        let column = table.column(key.name())?;
        let value = |leg: &Leg| leg.field(column);
        // In the order of bytes, for the digest.
        let mut numbers: BTreeMap<&[u8], u32> = BTreeMap::new();
        for leg in table.legs {
            numbers.insert(value(leg), 0);
        }
        for (number, place) in (0..).zip(numbers.values_mut()) {
            *place = number;
        }
        let keys = table.legs.iter().map(|leg| numbers[value(leg)]).collect();
        let mut legs = Self {
            key,
            slots: keyed::slots(numbers.len(), |_| Totals::default()),
            values: numbers.into_keys().collect(),
            legs: table.legs,
            keys,
            expected: key.reference().to_owned(),
        };
        if !table.is_built_in {
            // Nobody knows what another file comes to: the serial loop says it.
            repetition(&mut Serial, &legs);
            legs.expected = legs.digest();
        }
        Some(legs)
    }

    /// What was measured, as a series of the report.
    pub(super) fn column(&self) -> String {
        let keys = thousands(self.values.len() as u64);
        format!("by {}, {keys} keys", self.key.name())
    }

    fn digest(&self) -> String {
        let mut lines = Sha256::new();
        for (value, slot) in self.values.iter().zip(self.slots) {
            lines.update(slot.state.line(value));
        }
        hex(&lines.finalize().into())
    }
}

impl Load for KeyedLegs {
    type Job = Fly;

    fn jobs(&self) -> impl ExactSizeIterator<Item = Fly> + Send + use<> {
        let (slots, legs, keys) = (self.slots, self.legs, self.keys.clone());
        (0..legs.len()).map(move |row| {
            let key = keys[row] as usize;
            Fly {
                key,
                slot: &slots[key],
                leg: &legs[row],
            }
        })
    }

    fn reset(&self) {
        self.slots.iter().for_each(|slot| slot.state.reset());
    }

    fn check(&self, tally: &mut Tally) {
        tally.check(&self.digest(), &self.expected, String::clone);
    }

    /// The digest tells.
    fn steps_back(&self) -> u64 {
        0
    }
}

/// Ours beside the peers that keep the order.
pub(super) fn ratios(series: &Series) -> Vec<Ratio> {
    let peers = [
        ("serial", "serial"),
        ("static_split", "static-split"),
        ("hash_channels", "hash-channels"),
        ("tokio_actors", "tokio-actors"),
    ];
    let mut ratios = Vec::new();
    for (form, ours) in OURS {
        for (short, peer) in peers {
            let both = series.median_ns(ours).zip(series.median_ns(peer));
            ratios.extend(both.map(|(ours, theirs)| Ratio {
                name: format!("{}_{form}_vs_{short}", series.key),
                value: theirs / ours,
                bar: ((form, short) == ("batch", "static_split")).then_some(0.4),
            }));
        }
    }
    ratios
}

fn hex(digest: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest {
        write!(text, "{byte:02x}").expect("a string takes all text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::hash_channels::HashChannels;
    use crate::contenders::static_split::StaticSplit;
    use crate::contenders::tokengate::{Form, Tokengate};
    use crate::contenders::tokio_actors::TokioActors;
    use crate::keyed::KeyedContender;
    use crate::scenarios::Sample;
    use crate::scenarios::flights::legs;
    use crate::scenarios::load::tests::assert_strict;

    #[track_caller]
    fn assert_sound<C: KeyedContender>(mut contender: C, legs: &KeyedLegs) {
        let sample = repetition(&mut contender, legs);
        assert!(sample.tally().is_flawless(), "{}", sample.tally().line());
    }

    #[test]
    fn the_built_in_data_comes_to_the_reference_by_every_key() {
        let table = legs::read(None).unwrap();
        for (key, keys) in Key::ALL.into_iter().zip([3_576, 16, 3]) {
            let legs = KeyedLegs::of(&table, key).unwrap();
            assert_eq!(legs.values.len(), keys);
            assert_sound(Serial, &legs);
        }
    }

    #[test]
    fn contenders_that_keep_the_order_come_to_the_reference() {
        let table = legs::read(None).unwrap();
        let legs = KeyedLegs::of(&table, Key::Carrier).unwrap();
        assert_sound(StaticSplit::start().unwrap(), &legs);
        assert_sound(HashChannels::start().unwrap(), &legs);
        assert_sound(TokioActors::start().unwrap(), &legs);
        assert_sound(Tokengate::start(Form::OneByOne).unwrap(), &legs);
        assert_sound(Tokengate::start(Form::Batch).unwrap(), &legs);
    }

    #[test]
    fn a_lost_row_and_a_lost_order_are_seen() {
        let mut table = legs::read(None).unwrap();
        (table.legs, table.is_built_in) = (&table.legs[..1_000], false);
        assert_strict(&KeyedLegs::of(&table, Key::Tailnum).unwrap());
    }

    #[test]
    fn a_column_that_is_missing_gives_no_keys() {
        let table = Table {
            header: b"origin,dest",
            legs: &[],
            is_built_in: false,
        };
        assert!(KeyedLegs::of(&table, Key::Carrier).is_none());
        assert!(KeyedLegs::of(&table, Key::Origin).is_some());
    }
}

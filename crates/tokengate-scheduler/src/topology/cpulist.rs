//! The kernel's notation for sets of CPUs, `0-3,8,10-31:2/4`: parsed and printed.
//!
//! Called by the sysfs reader, by everything that prints CPUs, and by programs that take
//! [`Domains::Custom`](super::Domains::Custom) from their configuration. A parsed list is ascending
//! and without repetition, whatever the text looked like. It does not know which CPUs exist.

use super::MAX_CPUS;
use super::error::CpuListError;

/// Parses a CPU list into ascending ids without repetition.
///
/// Items are separated by commas: a CPU `8`, a range `0-3`, or a pattern `0-31:2/8`, the first 2 of
/// every 8 CPUs from 0 to 31. White space around items is ignored; an empty text is the empty set,
/// as for a memory node without CPUs. Costs time and memory in the number of ids named.
///
/// # Errors
///
/// [`CpuListError`] names the first item that does not read so, or an id of [`MAX_CPUS`] or more.
///
/// # Examples
///
/// ```
/// use tokengate_scheduler::topology::cpulist;
///
/// assert_eq!(cpulist::parse("0-2,8\n")?, [0, 1, 2, 8]);
/// assert_eq!(cpulist::parse("0-15:2/8")?, [0, 1, 8, 9]);
/// assert!(cpulist::parse("3-1").is_err());
/// # Ok::<(), tokengate_scheduler::topology::CpuListError>(())
/// ```
pub fn parse(text: &str) -> Result<Vec<usize>, CpuListError> {
    let text = text.trim();
    let mut ids = Vec::new();
    if text.is_empty() {
        return Ok(ids);
    }
    for item in text.split(',') {
        parse_item(item.trim(), &mut ids)?;
        // Overlapping items may not grow the list beyond what a machine can have.
        if ids.len() > MAX_CPUS {
            ids.sort_unstable();
            ids.dedup();
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Prints CPUs as a list with ranges; order and repetitions do not matter.
///
/// The inverse of [`parse`] for lists without patterns.
///
/// # Examples
///
/// ```
/// use tokengate_scheduler::topology::cpulist;
///
/// assert_eq!(cpulist::format(&[8, 0, 1, 2]), "0-2,8");
/// ```
#[must_use]
pub fn format(ids: &[usize]) -> String {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids.chunk_by(|a, b| a + 1 == *b)
        .map(|run| match *run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => unreachable!("chunks are never empty"),
        })
        .collect::<Vec<_>>()
        .join(",")
}

/// The CPUs as a message names them: `CPU 3`, `CPUs 0-7`.
pub(super) fn named(ids: impl IntoIterator<Item = usize>) -> String {
    let ids: Vec<usize> = ids.into_iter().collect();
    let plural = if ids.len() == 1 { "" } else { "s" };
    format!("CPU{plural} {}", format(&ids))
}

fn parse_item(item: &str, ids: &mut Vec<usize>) -> Result<(), CpuListError> {
    let malformed = || CpuListError::NotAnItem { item: item.into() };
    let number = |text: &str| digits(text).ok_or_else(malformed);

    let (range, pattern) = match item.split_once(':') {
        Some((range, pattern)) => (range, Some(pattern.split_once('/').ok_or_else(malformed)?)),
        None => (item, None),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        // A pattern needs a range to repeat in.
        None if pattern.is_some() => return Err(malformed()),
        None => (number(range)?, number(range)?),
    };
    if first > last {
        return Err(CpuListError::Backwards { item: item.into() });
    }
    if last >= MAX_CPUS {
        return Err(CpuListError::TooLarge {
            item: item.into(),
            most: MAX_CPUS,
        });
    }
    let (used, group) = match pattern {
        Some((used, group)) => (number(used)?, number(group)?),
        None => (1, 1),
    };
    if group == 0 || used > group {
        return Err(CpuListError::BadPattern { item: item.into() });
    }
    ids.extend((first..=last).filter(|id| (id - first) % group < used));
    Ok(())
}

/// A number of decimal digits only (`+3` is none); one too large to hold counts as the largest.
fn digits(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_each_kind_of_item() {
        assert_eq!(parse("0-3,8,10-11:2/4").unwrap(), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse("0-31:2/8").unwrap(), [0, 1, 8, 9, 16, 17, 24, 25]);
        assert_eq!(parse("4-10:1/3").unwrap(), [4, 7, 10]);
        assert_eq!(parse(" 7 , 3-4 \n").unwrap(), [3, 4, 7]);
        assert_eq!(parse("\n").unwrap(), [] as [usize; 0]);
        assert_eq!(parse("0-3:0/4").unwrap(), [] as [usize; 0]);
        assert_eq!(parse("8191").unwrap(), [8191]);
    }

    #[test]
    fn names_the_item_at_fault() {
        let not_items = [
            "a", "-", "1-", "-1", "+1", "1--2", "0x3", "1,,2", "1,", "3:1/2", "0-3:1", "0-3:1/",
            "0-3:/4",
        ];
        for text in not_items {
            assert!(
                matches!(parse(text), Err(CpuListError::NotAnItem { .. })),
                "{text}"
            );
        }
        assert_eq!(
            parse("1,7-3"),
            Err(CpuListError::Backwards { item: "7-3".into() })
        );
        for text in ["0-3:5/4", "0-3:0/0"] {
            assert_eq!(
                parse(text),
                Err(CpuListError::BadPattern { item: text.into() })
            );
        }
        for text in ["8192", "0-8192", "99999999999999999999999999"] {
            let error = CpuListError::TooLarge {
                item: text.into(),
                most: MAX_CPUS,
            };
            assert_eq!(parse(text), Err(error));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_printed_is_read_back(ids in prop::collection::btree_set(0..MAX_CPUS, 0..64)) {
            let ids: Vec<usize> = ids.into_iter().collect();
            prop_assert_eq!(parse(&format(&ids)).unwrap(), ids);
        }

        #[test]
        fn printing_is_shortest_for_dense_sets(ids in prop::collection::vec(0..24_usize, 0..64)) {
            let set: BTreeSet<usize> = ids.iter().copied().collect();
            let runs = set.iter().filter(|&&id| id == 0 || !set.contains(&(id - 1))).count();
            let printed = format(&ids);
            prop_assert_eq!(printed.split(',').filter(|item| !item.is_empty()).count(), runs);
        }

        #[test]
        fn items_add_up_in_any_order(
            items in prop::collection::vec((0..512_usize, 0..64_usize, 1..9_usize, 0..9_usize), 1..8),
        ) {
            let mut expected = BTreeSet::new();
            let mut text = Vec::new();
            for (first, length, group, used) in items {
                let used = used.min(group);
                for (place, id) in (first..=first + length).enumerate() {
                    if place % group < used {
                        expected.insert(id);
                    }
                }
                text.push(format!("{first}-{}:{used}/{group}", first + length));
            }
            let expected: Vec<usize> = expected.into_iter().collect();
            prop_assert_eq!(parse(&text.join(",")).unwrap(), expected.clone());
            text.reverse();
            prop_assert_eq!(parse(&text.join(" , ")).unwrap(), expected);
        }

        #[test]
        fn no_text_panics_or_breaks_the_order(text in "[-0-9,:/ +a\n]{0,24}") {
            if let Ok(ids) = parse(&text) {
                prop_assert!(ids.is_sorted_by(|a, b| a < b));
                prop_assert!(ids.iter().all(|&id| id < MAX_CPUS));
            }
        }
    }
}

//! Reads flight legs: the rows' bytes, the three columns that are summed, and where the others are.
//!
//! The scenario calls it before anything is measured. It takes a CSV text with a header line, plain or
//! compressed with gzip, whose fields hold no quotes.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// The data that comes with this crate.
const BUILT_IN: &[u8] = include_bytes!("../../../data/flights_q1.csv.gz");

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leg {
    /// The line without its end.
    pub(crate) row: &'static [u8],
    /// Minutes; a missing one counts as 0.
    pub(crate) dep_delay_min: i32,
    /// Minutes; a missing one counts as 0.
    pub(crate) arr_delay_min: i32,
    /// Miles; a missing one counts as 0.
    pub(crate) distance_mi: i32,
}

impl Leg {
    /// The bytes of a column; none if the row ends before it.
    pub(super) fn field(&self, column: usize) -> &'static [u8] {
        fields(self.row).nth(column).unwrap_or_default()
    }
}

/// All rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) header: &'static [u8],
    pub(super) legs: &'static [Leg],
    /// Whether it is the data that comes with this crate.
    pub(super) is_built_in: bool,
}

impl Table {
    /// The place of a column; `None` if there is none of this name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        column(self.header, name)
    }
}

/// Reads a file, or the built-in data. What is read stays in memory until the process ends, so that a
/// token can refer to its row without counting references.
///
/// # Errors
///
/// If the file cannot be read or is not such a table; the message names the file and the line.
pub(super) fn read(input: Option<&Path>) -> Result<Table, String> {
    let (name, bytes) = match input {
        None => ("the built-in data".to_owned(), BUILT_IN.to_vec()),
        Some(path) => {
            let name = path.display().to_string();
            let bytes = fs::read(path).map_err(|e| format!("cannot read {name}: {e}"))?;
            (name, bytes)
        }
    };
    let text: &'static [u8] = Box::leak(unpack(bytes).map_err(|e| format!("{name}: {e}"))?);
    let legs = parse(text).map_err(|e| format!("{name}: {e}"))?;
    Ok(Table {
        header: lines(text).next().unwrap_or_default(),
        legs: Box::leak(legs.into_boxed_slice()),
        is_built_in: input.is_none(),
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b',')
}

fn column(header: &[u8], name: &str) -> Option<usize> {
    fields(header).position(|field| field.trim_ascii() == name.as_bytes())
}

fn unpack(bytes: Vec<u8>) -> Result<Box<[u8]>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.into_boxed_slice());
    }
    let mut text = Vec::new();
    GzDecoder::new(&*bytes)
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot be unpacked: {error}"))?;
    Ok(text.into_boxed_slice())
}

fn parse(text: &'static [u8]) -> Result<Vec<Leg>, String> {
    let mut lines = lines(text);
    let header = lines.next().unwrap_or_default();
    let column = |name: &str| {
        column(header, name).ok_or_else(|| format!("the first line names no column {name}"))
    };
    let columns = [
        column("dep_delay_min")?,
        column("arr_delay_min")?,
        column("distance_mi")?,
    ];
    lines
        .enumerate()
        .filter(|(_, row)| !row.is_empty())
        .map(|(index, row)| {
            leg(row, columns).ok_or_else(|| format!("line {} is no leg", index + 2))
        })
        .collect()
}

fn leg(row: &'static [u8], columns: [usize; 3]) -> Option<Leg> {
    let number = |column: usize| {
        let field = fields(row).nth(column)?;
        match str::from_utf8(field).ok()?.trim() {
            "" => Some(0),
            text => text.parse().ok(),
        }
    };
    let [dep_delay, arr_delay, distance] = columns;
    Some(Leg {
        row,
        dep_delay_min: number(dep_delay)?,
        arr_delay_min: number(arr_delay)?,
        distance_mi: number(distance)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "origin,dep_delay_min,arr_delay_min,distance_mi\n";

    fn parsed(rows: &str) -> Result<Vec<Leg>, String> {
        parse(format!("{HEADER}{rows}").leak().as_bytes())
    }

    #[test]
    fn missing_numbers_count_as_zero() {
        let legs = parsed("EWR,2,-11,1400\nLGA,,,96\n").unwrap();
        assert_eq!(legs[0].row, b"EWR,2,-11,1400");
        assert_eq!((legs[0].dep_delay_min, legs[0].arr_delay_min), (2, -11));
        assert_eq!((legs[1].dep_delay_min, legs[1].distance_mi), (0, 96));
    }

    #[test]
    fn faults_name_the_line_or_the_column() {
        assert_eq!(
            parsed("EWR,2,1,9\nLGA,x,,96"),
            Err("line 3 is no leg".into())
        );
        assert_eq!(
            parse(b"origin,dest\n"),
            Err("the first line names no column dep_delay_min".into())
        );
    }

    #[test]
    fn a_file_that_does_not_exist_is_named() {
        let error = read(Some(Path::new("no/such/file.csv"))).unwrap_err();
        assert!(error.starts_with("cannot read no/such/file.csv"), "{error}");
    }
}

//! The arguments of the attribute: `operation_type`, `tags(..)` and `crate`.
//!
//! The entry point reads them first. Whatever is wrong, an [`Arguments`] comes out, with defaults for what could not be read.
//! The tables are our own and not `darling`'s: tags such as `key(a, b.id)` take expressions, and each message shows how
//! the entry is written. Whether an argument fits the function is for `validate.rs`.

use proc_macro2::TokenStream;
use syn::{LitStr, Path, parse_quote};

use crate::entry::{Row, Table};
use crate::faults::Faults;
use crate::tags::{Tags, as_tag};

/// What the user wrote between the parentheses of the attribute.
pub(crate) struct Arguments {
    /// The label of the operation, unless it is missing or faulty.
    pub(crate) operation_type: Option<LitStr>,
    /// Whether `operation_type` was given, in whatever shape.
    pub(crate) names_operation: bool,
    pub(crate) tags: Tags,
    /// The path of the runtime crate.
    pub(crate) runtime: Path,
}

const ARGUMENTS: Table<Arguments> = Table {
    noun: "an argument",
    rows: &[
        Row {
            name: "operation_type",
            usage: r#"`operation_type = "name"`"#,
            read: |entry, arguments| {
                arguments.names_operation = true;
                arguments.operation_type = Some(entry.text()?);
                Ok(())
            },
        },
        Row {
            name: "tags",
            usage: "`tags(..)`",
            read: |entry, arguments| arguments.tags.read(entry.list()?),
        },
        Row {
            name: "crate",
            usage: "`crate = path::to::tokengate`",
            read: |entry, arguments| {
                let runtime = entry.value::<RuntimePath>()?;
                arguments.runtime = runtime.0;
                Ok(())
            },
        },
    ],
    misplaced: as_tag,
};

/// A path without generic arguments, which may begin with `crate`, `self` or `super`.
struct RuntimePath(Path);

impl syn::parse::Parse for RuntimePath {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Self> {
        input.call(Path::parse_mod_style).map(Self)
    }
}

impl Arguments {
    /// Reads the attribute's tokens; what is wrong goes to `faults`.
    pub(crate) fn read(tokens: TokenStream, faults: &mut Faults) -> Self {
        let mut arguments = Self {
            operation_type: None,
            names_operation: false,
            tags: Tags::default(),
            runtime: parse_quote!(::tokengate),
        };
        faults.keep(ARGUMENTS.read(tokens, &mut arguments));
        arguments
    }
}

/// If `name` is an argument: that it stands beside `tags(..)`.
pub(crate) fn as_argument(name: &str) -> Option<String> {
    let row = ARGUMENTS.rows.iter().find(|row| row.name == name)?;
    Some(format!(
        "`{name}` is not a tag: write it beside `tags(..)`, as {}",
        row.usage
    ))
}

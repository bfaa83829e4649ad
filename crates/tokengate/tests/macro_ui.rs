//! Compile errors of guarded functions against the real runtime: a case in `ui/` for each fault.
//!
//! What only the runtime's own bounds can say; the attribute's faults are tested in its crate. The
//! compiler's words change between versions, so the cases run only where `TOKENGATE_UI_TESTS` is
//! set, on the oldest supported compiler. `TRYBUILD=overwrite` writes what is expected anew.

#[test]
fn the_runtimes_bounds_are_told_where_they_are_broken() {
    if std::env::var_os("TOKENGATE_UI_TESTS").is_some() {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    }
}

//! Where the compile errors of the attribute point, and that no others follow: a case in `ui/` for each fault.
//!
//! The compiler's own words change between versions, so the cases run only where `TOKENGATE_UI_TESTS` is set, which is on
//! the oldest supported compiler. `TRYBUILD=overwrite` writes what is expected anew. The texts themselves are unit tests.

#[test]
fn faults_are_told_where_they_are() {
    if std::env::var_os("TOKENGATE_UI_TESTS").is_some() {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    }
}

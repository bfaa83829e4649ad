//! Holds the criterion benches in `benches/`; has no code of its own.
